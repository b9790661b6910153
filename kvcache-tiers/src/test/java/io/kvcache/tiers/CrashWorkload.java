package io.kvcache.tiers;

import io.kvcache.DType;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvLayout;
import io.kvcache.Namespace;
import io.kvcache.spi.Compressor;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TrailingZerosCompressor;
import io.kvcache.testkit.TruncatingCompressor;
import java.util.ArrayList;
import java.util.List;

/**
 * The prompts that a process which is going to be killed stores, removes and looks up, known to it and to who
 * checks what is left. Those of a namespace are used by one thread only, so that it is known what came first.
 */
final class CrashWorkload {
  static final int NAMESPACES = 2;

  /** Chunks whose bytes lie in the index, in extents, and in either once they are compressed. */
  private static final List<KvLayout> LAYOUTS = List.of(
      KvLayout.uniform(2, 2, 16, DType.F16).withChunkTokens(64), // 16 KiB
      KvLayout.uniform(2, 4, 32, DType.F16).withChunkTokens(64), // 64 KiB
      KvLayout.uniform(5, 2, 32, DType.BF16).withChunkTokens(64)); // 80 KiB

  private static final int CONTEXTS = 8;

  private final KvLayout layout;
  private final List<Namespace> namespaces = new ArrayList<>();
  private final List<TestPrompt> prompts = new ArrayList<>();

  CrashWorkload(int layoutNumber) {
    layout = LAYOUTS.get(layoutNumber);
    for (int number = 0; number < NAMESPACES; number++) {
      Namespace namespace = Namespace.of("model-" + number, layout);
      namespaces.add(namespace);
      for (int context = 1; context <= CONTEXTS; context++) {
        TestPrompt base = TestPrompt.of(namespace, context, 1 + context % 4);
        prompts.addAll(
            List.of(base, base.then(10, 2), base.then(11, 1), base.then(11, 1).then(12, 2)));
      }
    }
  }

  static int layouts() {
    return LAYOUTS.size();
  }

  KvLayout layout() {
    return layout;
  }

  Namespace namespace(int number) {
    return namespaces.get(number);
  }

  /** All of them; a prompt's number is its index here, and those of a namespace stand together. */
  List<TestPrompt> prompts() {
    return prompts;
  }

  /** Prompts of each namespace. */
  int perNamespace() {
    return prompts.size() / NAMESPACES;
  }

  static Compressor[] compressors() {
    return new Compressor[] {new TrailingZerosCompressor(), new TruncatingCompressor(),
      TruncatingCompressor.coarse()};
  }

  /** Exact ones first. */
  static List<Encoding> encodings() {
    return List.of(Encoding.RAW, Encoding.of(TrailingZerosCompressor.CODEC),
        Encoding.of(TruncatingCompressor.CODEC), Encoding.of(TruncatingCompressor.COARSE_CODEC),
        Encoding.RAW.keeping(DropMethod.KEYDIFF, 50),
        Encoding.of(TruncatingCompressor.CODEC).keeping(DropMethod.KNORM, 30));
  }
}
