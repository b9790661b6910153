package io.kvcache.compress;

import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/** A general-purpose coder of single byte planes. Thread-safe: what a call works with is the call's own. */
interface PlaneCoder {
  /** Short name of the coder. */
  String name();

  /** The coding of a plane in its order; the next number is that of a plane turned round. Part of the format. */
  byte coding();

  /**
   * Encodes the first {@code n} bytes of {@code plane}, at least 1.
   *
   * @param most bytes that the body may have
   * @param at where it is to start in {@code target}, which has room for {@code most} bytes from there
   * @return bytes of the body; 0 when it would have more than {@code most}, which leaves those undefined
   */
  int encode(byte[] plane, int n, int most, PlaneBuffers buffers, MemorySegment target, long at);

  /**
   * Decodes a body into the first {@code n} bytes of {@code plane}.
   *
   * @param from where the body starts in {@code stored}
   * @param length bytes of the body, not more than {@code stored} has from there, nor than {@code n}
   * @throws MalformedDataException when it does not decode to just {@code n} bytes
   */
  void decode(MemorySegment stored, long from, int length, byte[] plane, int n, PlaneBuffers buffers)
      throws MalformedDataException;
}
