package io.kvcache.spi;

import io.kvcache.KvShape;
import java.lang.foreign.MemorySegment;

/**
 * An exact encoding in two steps: a lossy base, which is all that a quick answer needs, and a residual that
 * makes the exact bits of what the base decodes to. Both can be kept, moved and read apart: the base is a half
 * as {@link #base} stores it, and the residual is of use to whoever has the base, wherever that comes from.
 *
 * <pre>
 * base().decompress(shape, parameters, baseOf(stored), target)    // lossy
 * restore(shape, residualOf(stored), target)                      // exact, as if by decompress
 * </pre>
 */
public interface ResidualCompressor extends Compressor {
  /** The codec of the base, with the same {@link #parameters}. */
  Compressor base();

  /**
   * The base within what {@link #compress} wrote.
   *
   * @param stored all of it, or its beginning up to the end of the base at least
   * @return a view of {@code stored}
   * @throws MalformedDataException when no base can lie there
   */
  MemorySegment baseOf(MemorySegment stored) throws MalformedDataException;

  /**
   * The residual within what {@link #compress} wrote: all behind the base.
   *
   * @return a view of {@code stored}
   * @throws MalformedDataException when no base can lie before it
   */
  MemorySegment residualOf(MemorySegment stored) throws MalformedDataException;

  /**
   * Makes the exact bits of a half of what its base decodes to, in place. Whether the two belong together is for
   * the caller to know: a residual put on another base gives other bits, and no error.
   *
   * @param residual exactly the bytes of the residual
   * @param target exactly {@code shape.bytes()} bytes, decoded from the base
   * @throws MalformedDataException when {@code residual} cannot come from this encoding; the target is then
   *     undefined
   */
  void restore(KvShape shape, MemorySegment residual, MemorySegment target) throws MalformedDataException;
}
