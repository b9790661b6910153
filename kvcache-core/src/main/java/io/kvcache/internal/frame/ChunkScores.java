package io.kvcache.internal.frame;

import io.kvcache.DropMethod;
import io.kvcache.KvLayout;
import io.kvcache.LayerSpec;
import io.kvcache.TokenScores;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Set;

/**
 * The engine's scores of the tokens of one chunk, as a frame carries them, so that methods that need them can be
 * applied later: method by method, layer by layer, head by head, one bf16 a token. Immutable.
 *
 * <p>Bf16 keeps the order of scores but for ties among those that differ by less than one part in 256.
 */
public final class ChunkScores {
  private static final int SCORE_BYTES = 2;

  private final KvLayout layout;
  private final Set<DropMethod> methods;
  private final MemorySegment payload;

  private ChunkScores(KvLayout layout, Set<DropMethod> methods, MemorySegment payload) {
    this.layout = layout;
    this.methods = methods;
    this.payload = payload;
  }

  /**
   * Rounds the scores of the chunk that starts at {@code firstToken} of the prompt.
   *
   * @param scores of a prompt of this layout that has the whole chunk, for at least one method
   */
  public static ChunkScores of(KvLayout layout, TokenScores scores, int firstToken) {
    Set<DropMethod> methods = EnumSet.copyOf(scores.methods());
    MemorySegment payload = MemorySegment.ofArray(new byte[Math.toIntExact(payloadBytes(layout, methods))]);
    long at = 0;
    for (DropMethod method : methods) {
      for (int layer = 0; layer < layout.layers().size(); layer++) {
        for (int head = 0; head < layout.layer(layer).kvHeads(); head++) {
          float[] row = scores.of(method, layer, head);
          for (int token = firstToken; token < firstToken + layout.chunkTokens(); token++) {
            payload.set(Wire.SHORT, at, toBf16(row[token]));
            at += SCORE_BYTES;
          }
        }
      }
    }
    return new ChunkScores(layout, Collections.unmodifiableSet(methods), payload);
  }

  /** To the nearest, half to even; what is beyond the largest finite one becomes infinite. Not for NaN. */
  private static short toBf16(float score) {
    int bits = Float.floatToRawIntBits(score);
    return (short) (bits + 0x7FFF + (bits >>> 16 & 1) >>> 16);
  }

  /** Bytes of the scores of one chunk. */
  static long payloadBytes(KvLayout layout, Set<DropMethod> methods) {
    long heads = layout.layers().stream().mapToLong(LayerSpec::kvHeads).sum();
    return heads * methods.size() * layout.chunkTokens() * SCORE_BYTES;
  }

  /** The methods that scores can be for, by number. */
  static Set<DropMethod> allMethods() {
    Set<DropMethod> all = EnumSet.allOf(DropMethod.class);
    all.removeIf(method -> !method.needsScores());
    return all;
  }

  /** A bit for each method, that of its number. */
  static int mask(Set<DropMethod> methods) {
    int mask = 0;
    for (DropMethod method : methods) {
      mask |= 1 << method.number();
    }
    return mask;
  }

  /** The methods of a {@link #mask}. */
  static Set<DropMethod> methods(int mask) throws MalformedDataException {
    Set<DropMethod> methods = allMethods();
    Preamble.require((mask & ~mask(methods)) == 0, "scores are for methods %08x, known are %08x", mask,
        mask(methods));
    methods.removeIf(method -> (mask & 1 << method.number()) == 0);
    return Collections.unmodifiableSet(methods);
  }

  /**
   * Reads the scores out of a part, and verifies what it read.
   *
   * @param stored exactly the scores, without the preamble
   */
  static ChunkScores read(KvLayout layout, Set<DropMethod> methods, MemorySegment stored, int crc)
      throws MalformedDataException {
    MemorySegment copy = MemorySegment.ofArray(new byte[Math.toIntExact(stored.byteSize())]);
    int computed = Checksums.copy(stored, copy);
    Preamble.require(computed == crc, "checksum of the scores is %08x, expected %08x", computed, crc);
    for (long at = 0; at < copy.byteSize(); at += SCORE_BYTES) {
      Preamble.require((copy.get(Wire.SHORT, at) & 0x7FFF) <= 0x7F80, "score at byte %d is NaN", at);
    }
    return new ChunkScores(layout, methods, copy);
  }

  MemorySegment payload() {
    return payload;
  }

  /** The methods there are scores for; at least one. */
  public Set<DropMethod> methods() {
    return methods;
  }

  /**
   * Scores of the chunk's tokens in one layer and head; a fresh array.
   *
   * @throws IllegalArgumentException when there are none for the method
   */
  public float[] of(DropMethod method, int layer, int kvHead) {
    if (!methods.contains(method)) {
      throw new IllegalArgumentException("there are no scores of " + method + ", only of " + methods);
    }
    long row = kvHead;
    for (DropMethod before : methods) {
      int end = before.number() < method.number() ? layout.layers().size()
          : before == method ? layer : 0;
      for (int each = 0; each < end; each++) {
        row += layout.layer(each).kvHeads();
      }
    }
    float[] scores = new float[layout.chunkTokens()];
    for (int token = 0; token < scores.length; token++) {
      long at = (row * scores.length + token) * SCORE_BYTES;
      scores[token] = Float.intBitsToFloat(payload.get(Wire.SHORT, at) << 16);
    }
    return scores;
  }
}
