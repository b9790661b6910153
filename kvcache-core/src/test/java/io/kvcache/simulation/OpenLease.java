package io.kvcache.simulation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.Fidelity;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvLease;
import io.kvcache.KvLease.KvKept;
import io.kvcache.KvLease.KvView;
import io.kvcache.KvLease.Run;
import io.kvcache.LayerSpec;
import io.kvcache.simulation.Workload.Prompt;
import io.kvcache.testkit.KeptCheck;
import io.kvcache.testkit.KvPayloads;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.SplittableRandom;

/** A lease and what it must give: every byte right, and never more tokens than before. */
final class OpenLease {
  private final KvLayout layout;
  private final Prompt prompt;
  private final KvLease lease;
  private final boolean exact;
  private final List<Run> runs;
  private int tokens;

  OpenLease(KvLayout layout, Prompt prompt, KvLease lease, AcquireOptions options, String at) {
    this.layout = layout;
    this.prompt = prompt;
    this.lease = lease;
    this.exact = options.leastQuality() == 1;
    this.runs = lease.runs();
    this.tokens = lease.tokens();
    assertTrue(tokens >= 0 && tokens <= prompt.tokens().length() && tokens % layout.chunkTokens() == 0, at);
    assertEquals(tokens, runs.stream().mapToInt(Run::tokens).sum(), at + ": runs do not cover the lease");
    assertTrue(!exact || lease.fidelity().exact(), at + ": not exact");
    boolean accepted = switch (options.pruned()) {
      case NONE -> runs.stream().noneMatch(KeptCheck::pruned);
      case UNIFORM -> runs.stream().allMatch(run -> !KeptCheck.pruned(run) || KeptCheck.uniform(run));
      case ANY -> true;
    };
    assertTrue(accepted, at + ": lacks tokens that were not to be missing");
  }

  /** A lease to be closed at the end of a block. */
  record Closing(OpenLease open) implements AutoCloseable {
    int chunks() {
      return open.lease.tokens() / open.layout.chunkTokens();
    }

    @Override
    public void close() {
      open.lease.close();
    }
  }

  KvLease lease() {
    return lease;
  }

  Prompt prompt() {
    return prompt;
  }

  void readAll(String at) {
    for (int layer = 0; layer < layout.layers().size(); layer++) {
      read(layer, at + " layer " + layer);
    }
  }

  void read(int layer, String at) {
    LayerSpec spec = layout.layer(layer);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment keys = arena.allocate((long) tokens * spec.keyRowBytes());
      MemorySegment values = arena.allocate((long) tokens * spec.valueRowBytes());
      shrinkTo(lease.read(layer, keys, values), at);
      long keyBytes = (long) layout.chunkTokens() * spec.keyRowBytes();
      long valueBytes = (long) layout.chunkTokens() * spec.valueRowBytes();
      for (Run run : runs) {
        if (KeptCheck.pruned(run) && run.firstToken() < tokens) {
          readKept(run, layer, at);
        }
      }
      for (int chunk = 0; chunk < tokens / layout.chunkTokens(); chunk++) {
        if (KeptCheck.pruned(runs, chunk * layout.chunkTokens())) {
          continue;
        }
        check(keys.asSlice(chunk * keyBytes, keyBytes), chunk, layer, KvHalf.KEYS, at);
        check(values.asSlice(chunk * valueBytes, valueBytes), chunk, layer, KvHalf.VALUES, at);
      }
    }
  }

  private void readKept(Run run, int layer, String at) {
    KvKept kept = lease.kept(run, layer);
    shrinkTo(lease.tokens(), at);
    KeptCheck.check(kept, layout, prompt.keys(), run, layer, at + " layer " + layer);
    assertTrue(kept.tokens() >= Math.min(tokens - run.firstToken(), run.tokens()), at + ": kept too little");
  }

  private void shrinkTo(int now, String at) {
    assertTrue(now <= tokens && now >= 0, at + ": " + now + " tokens after " + tokens);
    assertEquals(now, lease.tokens(), at);
    tokens = now;
  }

  void viewAny(SplittableRandom random, String at) {
    if (runs.isEmpty()) {
      return;
    }
    Run run = Workload.anyOf(runs, random);
    int layer = random.nextInt(layout.layers().size());
    if (KeptCheck.pruned(run)) {
      readKept(run, layer, at);
      return;
    }
    List<KvView> views = lease.view(run, layer);
    shrinkTo(lease.tokens(), at);
    int token = run.firstToken();
    for (KvView view : views) {
      assertEquals(token, view.firstToken(), at);
      assertTrue(view.keys().isReadOnly() && view.values().isReadOnly(), at + ": a view can be written to");
      check(view.keys(), token / layout.chunkTokens(), layer, KvHalf.KEYS, at);
      check(view.values(), token / layout.chunkTokens(), layer, KvHalf.VALUES, at);
      token += view.tokens();
    }
    assertTrue(token <= run.firstToken() + run.tokens(), at);
  }

  private void check(MemorySegment rows, int chunk, int layer, KvHalf half, String at) {
    Fidelity fidelity = fidelity(chunk * layout.chunkTokens());
    assertTrue(!exact || fidelity.exact(), at + ": chunk " + chunk + " is not exact");
    long wrong = KvPayloads.mismatch(rows, prompt.keys().get(chunk), layer, half, fidelity);
    assertEquals(-1, wrong, () -> at + ": wrong byte in " + half + " of chunk " + chunk);
    assertEquals((long) layout.chunkTokens() * layout.layer(layer).rowBytes(half), rows.byteSize(), at);
  }

  private Fidelity fidelity(int token) {
    return runs.stream()
        .filter(run -> token >= run.firstToken() && token < run.firstToken() + run.tokens())
        .map(Run::fidelity).findFirst().orElseThrow();
  }
}
