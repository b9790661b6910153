package io.kvcache;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * A prompt as the cache sees it: token ids, and extras for content that the ids alone do not determine.
 *
 * <p>Immutable; ids are copied, because chunk keys are computed from them later.
 */
public final class Tokens {
  /** Most tokens of a prompt. */
  public static final int MAX_TOKENS = 1 << 27;

  private final int[] ids;
  private final List<Extra> extras;

  private Tokens(int[] ids, List<Extra> extras) {
    this.ids = ids;
    this.extras = extras;
  }

  /**
   * A prompt of these token ids.
   *
   * @throws IllegalArgumentException when there are none, too many, or one is negative
   */
  public static Tokens of(int... ids) {
    Checks.requireBetween(ids.length, 1, MAX_TOKENS, "tokens of the prompt");
    int[] copy = ids.clone();
    int or = 0;
    for (int id : copy) {
      or |= id;
    }
    if (or < 0) {
      throw negative(copy);
    }
    return new Tokens(copy, List.of());
  }

  private static IllegalArgumentException negative(int[] ids) {
    int at = 0;
    while (ids[at] >= 0) {
      at++;
    }
    return new IllegalArgumentException(
        "token id " + ids[at] + " at position " + at + ", must be at least 0");
  }

  /**
   * The same prompt in which content that is not tokens begins at {@code offset}: two images behind the same
   * placeholder ids differ in their digests and so never share a chunk.
   *
   * @param offset position of the first placeholder token
   * @param digest bytes that stand for the content, such as its SHA-256; 1 to {@value Extra#MAX_DIGEST_BYTES}
   */
  public Tokens withExtra(int offset, byte[] digest) {
    Checks.requireBetween(offset, 0, ids.length - 1, "offset of the extra");
    List<Extra> all = new ArrayList<>(extras);
    all.add(new Extra(offset, digest));
    all.sort(Comparator.naturalOrder());
    return new Tokens(ids, List.copyOf(all));
  }

  /** Tokens of the prompt. */
  public int length() {
    return ids.length;
  }

  /** A copy of the token ids. */
  public int[] ids() {
    return ids.clone();
  }

  /** How many of the first {@code most} tokens are the same as another prompt's, in ids and extras. */
  int agreesUpTo(Tokens other, int most) {
    int end = Math.min(most, Math.min(ids.length, other.ids.length));
    int differs = Arrays.mismatch(ids, 0, end, other.ids, 0, end);
    int same = differs < 0 ? end : differs;
    for (int extra = 0; extra < Math.max(extras.size(), other.extras.size()); extra++) {
      int offset = Math.min(offset(extra), other.offset(extra));
      boolean equal = extra < extras.size() && extra < other.extras.size()
          && extras.get(extra).compareTo(other.extras.get(extra)) == 0;
      if (offset >= same || !equal) {
        return Math.min(same, offset);
      }
    }
    return same;
  }

  private int offset(int extra) {
    return extra < extras.size() ? extras.get(extra).offset : Integer.MAX_VALUE;
  }

  int[] sharedIds() {
    return ids;
  }

  List<Extra> extras() {
    return extras;
  }

  /** Content behind placeholder tokens; ordered by offset, then by digest, so that insertion order is no matter. */
  static final class Extra implements Comparable<Extra> {
    static final int MAX_DIGEST_BYTES = 1024;

    private final int offset;
    private final byte[] digest;

    Extra(int offset, byte[] digest) {
      Checks.requireBetween(digest.length, 1, MAX_DIGEST_BYTES, "bytes of the extra's digest");
      this.offset = offset;
      this.digest = digest.clone();
    }

    int offset() {
      return offset;
    }

    byte[] digest() {
      return digest;
    }

    @Override
    public int compareTo(Extra other) {
      int byOffset = Integer.compare(offset, other.offset);
      return byOffset != 0 ? byOffset : Arrays.compareUnsigned(digest, other.digest);
    }
  }
}
