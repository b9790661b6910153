package io.kvcache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Values that cannot be right are refused where they are given, by a message that names value and limit. */
class BadArgumentsTest {
  private static final KvLayout LAYOUT = KvLayout.uniform(2, 2, 8, DType.BF16);
  private static final Namespace NAMESPACE = Namespace.of("m", LAYOUT);

  private static Arguments refused(String message, Executable call) {
    return Arguments.of(message, call);
  }

  static Stream<Arguments> layouts() {
    LayerSpec layer = LayerSpec.of(2, 8, DType.BF16);
    return Stream.of(
        refused("kvHeads is 0, must be 1 to 4096", () -> LayerSpec.of(0, 8, DType.F16)),
        refused("kvHeads is 4097, must be 1 to 4096", () -> LayerSpec.of(4097, 1, DType.F16)),
        refused("keyDim is -1, must be 1 to 1048576", () -> LayerSpec.of(1, -1, DType.F16)),
        refused("keyDim is 1048577, must be 1 to 1048576", () -> LayerSpec.opaque(1048577)),
        refused("valueDim is -1, must be 0 to 1048576", () -> new LayerSpec(1, 1, -1, DType.F16, 0)),
        refused("window is -1, must be 0 to 2147483647", () -> new LayerSpec(1, 1, 1, DType.F16, -1)),
        refused("key bytes per token is 17179869184, must be 1 to 16777216",
            () -> LayerSpec.of(4096, 1 << 20, DType.F32)),
        refused("value bytes per token is 16777220, must be 0 to 16777216",
            () -> new LayerSpec(5, 1, 838861, DType.F32, 0)),
        refused("layers is 0, must be 1 to 4096", () -> new KvLayout(List.of(), 16)),
        refused("layers is -5, must be 1 to 4096", () -> KvLayout.uniform(-5, 1, 1, DType.F16)),
        refused("layers is 4097, must be 1 to 4096",
            () -> new KvLayout(Collections.nCopies(4097, layer), 16)),
        refused("chunkTokens is 8, must be 16 to 65536", () -> LAYOUT.withChunkTokens(8)),
        refused("chunkTokens is 131072, must be 16 to 65536", () -> LAYOUT.withChunkTokens(1 << 17)),
        refused("chunkTokens is 48, must be a power of two", () -> LAYOUT.withChunkTokens(48)),
        refused("bytes of one half of a layer of a chunk is 2147483648, must be 1 to 1073741824",
            () -> KvLayout.uniform(1, 1, 1 << 14, DType.BF16).withChunkTokens(1 << 16)),
        refused("half", () -> new KvShape(null, 1, 1, 1, DType.F16)),
        refused("tokens is 0, must be 1 to 65536", () -> new KvShape(KvHalf.KEYS, 0, 1, 1, DType.F16)));
  }

  static Stream<Arguments> namespaces() {
    return Stream.of(
        refused("model", () -> Namespace.of(null, LAYOUT)),
        refused("model is blank; name the weights and their revision", () -> Namespace.of(" \t", LAYOUT)),
        refused("length of model is 4097, must be 0 to 4096",
            () -> Namespace.of("m".repeat(4097), LAYOUT)),
        refused("adapter has half of a surrogate pair, which no UTF-8 stands for",
            () -> NAMESPACE.withAdapter("a\ud83e")),
        refused("length of engine is 5000, must be 0 to 4096", () -> NAMESPACE.withEngine("e".repeat(5000))),
        refused("ropeScaling", () -> NAMESPACE.withRopeScaling(null)),
        refused("ranks is 0, must be 1 to 65536", () -> NAMESPACE.withRank(0, 0)),
        refused("rank is 4, must be 0 to 3", () -> NAMESPACE.withRank(4, 4)),
        refused("rank is -1, must be 0 to 3", () -> NAMESPACE.withRank(-1, 4)),
        refused("firstLayer is -1, must be 0 to 65536", () -> NAMESPACE.withFirstLayer(-1)),
        refused("bytes of the tenant salt is 4097, must be 0 to 4096",
            () -> NAMESPACE.withTenant(new byte[4097])),
        refused("layout", () -> Namespace.of("m", null)));
  }

  static Stream<Arguments> tokens() {
    Tokens tokens = Tokens.of(1, 2, 3);
    return Stream.of(
        refused("tokens of the prompt is 0, must be 1 to 134217728", () -> Tokens.of()),
        refused("token id -7 at position 2, must be at least 0", () -> Tokens.of(1, 2, -7, -8)),
        refused("offset of the extra is 3, must be 0 to 2", () -> tokens.withExtra(3, new byte[1])),
        refused("offset of the extra is -1, must be 0 to 2", () -> tokens.withExtra(-1, new byte[1])),
        refused("bytes of the extra's digest is 0, must be 1 to 1024",
            () -> tokens.withExtra(0, new byte[0])),
        refused("bytes of the extra's digest is 1025, must be 1 to 1024",
            () -> tokens.withExtra(0, new byte[1025])));
  }

  static Stream<Arguments> options() {
    Duration negative = Duration.ofNanos(-1);
    return Stream.of(
        refused("leastQuality is 1.5, must be 0 to 1", () -> AcquireOptions.atLeast(1.5)),
        refused("leastQuality is NaN, must be 0 to 1", () -> AcquireOptions.atLeast(Double.NaN)),
        refused("deadline is PT-0.000000001S, must not be negative",
            () -> AcquireOptions.exact().deadline(negative)),
        refused("deadline", () -> AcquireOptions.exact().deadline(null)),
        refused("leastQuality is -0.5, must be 0 to 1", () -> StoreOptions.defaults().replacingBelow(-0.5)),
        refused("leastQuality is NaN, must be 0 to 1",
            () -> StoreOptions.defaults().replacingBelow(Double.NaN)),
        refused("waitForRoom is PT-0.000000001S, prefillTime PT0S, neither may be negative",
            () -> StoreOptions.defaults().waitForRoom(negative)),
        refused("waitForRoom is PT0S, prefillTime PT-0.000000001S, neither may be negative",
            () -> StoreOptions.defaults().prefillTime(negative)),
        refused("bits is 0, must be 1 to 16", () -> new Fidelity.Quantized(0)),
        refused("retainedFraction is 0.0, must be above 0 and at most 1",
            () -> new Fidelity.Pruned(0, Fidelity.EXACT)));
  }

  @ParameterizedTest
  @MethodSource({"layouts", "namespaces", "tokens", "options"})
  void refusesWithValueAndLimit(String message, Executable call) {
    RuntimeException thrown = assertThrows(RuntimeException.class, call);
    assertEquals(message, thrown.getMessage());
    boolean missing = thrown instanceof NullPointerException;
    assertEquals(missing ? NullPointerException.class : IllegalArgumentException.class, thrown.getClass());
  }
}
