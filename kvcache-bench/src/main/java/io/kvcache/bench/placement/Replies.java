package io.kvcache.bench.placement;

import io.kvcache.bench.model.KvState;
import io.kvcache.bench.placement.Workload.Request;
import io.kvcache.bench.serving.CachedModel;
import io.kvcache.bench.serving.CachedModel.Completion;
import io.kvcache.bench.serving.Prefilled;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Answers from loaded KV. Computing is measured once for each question and content of the state it starts from, and
 * the figure kept: engine and answer do not depend on how the KV came there, so that policies differ by what they
 * loaded and how long that took, and not by what else the processor did.
 */
final class Replies {
  private final CachedModel engine;
  private final List<Prefilled> documents;
  private final Map<Start, Completion> known = new HashMap<>();

  private record Start(Request request, long checksum) {}

  /** Answers about these documents. */
  Replies(CachedModel engine, List<Prefilled> documents) {
    this.engine = engine;
    this.documents = documents;
  }

  /** The answer to a request from what a state holds; the state is used up. */
  Completion complete(Request request, KvState state) {
    Start start = new Start(request, state.checksum());
    Completion completion = known.get(start);
    if (completion == null) {
      Prefilled document = documents.get(request.document());
      completion = engine.complete(state, document.document().tokens(),
          document.unseen().get(request.question()));
      known.put(start, completion);
    }
    return completion;
  }

  /** How long it takes to compute a document, as an engine that notes no scores does. */
  Duration prefillTime(int document) {
    try (KvState state = engine.newState(documents.get(document).document().tokens())) {
      return Duration.ofNanos(complete(new Request(document, 0), state).firstTokenNanos());
    }
  }

  /** Bytes of KV computed in a second, over all documents; computed anew. */
  double prefillBytesPerSecond() {
    known.clear();
    double bytes = 0;
    double nanos = 0;
    for (int document = 0; document < documents.size(); document++) {
      bytes += (double) documents.get(document).tokens() * engine.layout().tokenBytes();
      nanos += prefillTime(document).toNanos();
    }
    return bytes / nanos * 1e9;
  }
}
