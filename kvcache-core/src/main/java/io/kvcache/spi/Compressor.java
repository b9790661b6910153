package io.kvcache.spi;

import io.kvcache.Fidelity;
import io.kvcache.KvShape;
import java.lang.foreign.MemorySegment;

/**
 * Encodes one half of one layer of one chunk at a time. Implementations are stateless and thread-safe. Stored
 * bytes decode to the same result on every machine. Encoding is deterministic within a process;
 * general-purpose coders inside a codec may find another, equally valid encoding on another machine.
 */
public interface Compressor {
  /**
   * The number that names the encoding in stored frames, 1 to 65535; 0 is raw. A released number is never
   * reused.
   */
  int codec();

  /** A short name for metrics and reports, such as {@code int4}. */
  String name();

  /** A word kept in the frame and handed back to {@link #decompress}, such as a group size. */
  int parameters();

  /** What decoding gives back. */
  Fidelity fidelity();

  /** Quality assumed of a context nobody has profiled: 1 when lossless, else the encoding's usual quality. */
  double nominalQuality();

  /** Whether halves of this shape can be encoded. */
  boolean supports(KvShape shape);

  /** Upper bound on what {@link #compress} writes for a half of this shape, in bytes; at least 1. */
  long maxStoredBytes(KvShape shape);

  /**
   * What {@link #compress} writes for ordinary content, in bytes, as far as that is known without it: decisions rest on
   * this until something was stored.
   */
  default long usualStoredBytes(KvShape shape) {
    return maxStoredBytes(shape);
  }

  /**
   * Encodes a half.
   *
   * @param source exactly {@code shape.bytes()} bytes, rows in order
   * @param target at least {@link #maxStoredBytes} bytes
   * @return bytes written, at least 1
   */
  long compress(KvShape shape, MemorySegment source, MemorySegment target);

  /**
   * Decodes a half. Checks every length before it is used: neither reads nor writes outside the two segments,
   * whatever {@code stored} holds.
   *
   * @param parameters the word that {@link #parameters} gave when the half was encoded
   * @param stored exactly the bytes that were written
   * @param target exactly {@code shape.bytes()} bytes
   * @throws MalformedDataException when {@code stored} or {@code parameters} cannot come from this encoding;
   * the target is then undefined
   */
  void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target)
      throws MalformedDataException;
}
