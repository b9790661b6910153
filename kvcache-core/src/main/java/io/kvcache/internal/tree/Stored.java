package io.kvcache.internal.tree;

import io.kvcache.Encoding;
import io.kvcache.spi.VariantClass;

/**
 * One entry of one chunk.
 *
 * @param tier index of the tier it is in
 * @param encoding which of its tokens, and by which codec
 * @param variantClass full or serving
 * @param generation as in the frame
 * @param bytes length of all parts
 * @param expiryMillis from when on it counts as not there, in milliseconds since the epoch; {@link #NEVER}. Of what the
 *     tree answers, that of the chunk or of one before it in its segment
 */
public record Stored(int tier, Encoding encoding, VariantClass variantClass, long generation, long bytes,
    long expiryMillis) {
  /** The expiry of what does not expire. */
  public static final long NEVER = Long.MAX_VALUE;

  /** An entry that does not expire. */
  public Stored(int tier, Encoding encoding, VariantClass variantClass, long generation, long bytes) {
    this(tier, encoding, variantClass, generation, bytes, NEVER);
  }

  /** The same entry, of another length. */
  public Stored withBytes(long length) {
    return new Stored(tier, encoding, variantClass, generation, length, expiryMillis);
  }

  /** Whether both are the same entry, whatever is known of when it expires. */
  public boolean same(Stored other) {
    return tier == other.tier && generation == other.generation && variantClass == other.variantClass
        && encoding.equals(other.encoding);
  }

  /** Whether it counts as not there. */
  public boolean expired(long nowMillis) {
    return expiryMillis <= nowMillis;
  }

  /** What notes and frames say for it, where 0 stands for never. */
  public long writtenExpiry() {
    return expiryMillis == NEVER ? 0 : expiryMillis;
  }

  /** The reverse of {@link #writtenExpiry}. */
  public static long expiry(long written) {
    return written == 0 ? NEVER : written;
  }
}
