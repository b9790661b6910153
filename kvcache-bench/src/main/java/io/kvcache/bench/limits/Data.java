package io.kvcache.bench.limits;

import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;

/** Test data, and what is done to all of it. */
final class Data {
  private static final int PATTERN_BYTES = 1 << 20;
  private static final long SEED = 20261123;

  private Data() {}

  /** Fills with noise, which neither a device nor a hypervisor can store in less space than it takes. */
  static void fill(MemorySegment target) {
    byte[] noise = new byte[PATTERN_BYTES];
    new SplittableRandom(SEED).nextBytes(noise);
    MemorySegment pattern = MemorySegment.ofArray(noise);
    for (long at = 0; at < target.byteSize(); at += PATTERN_BYTES) {
      MemorySegment.copy(pattern, 0, target, at, Math.min(PATTERN_BYTES, target.byteSize() - at));
    }
  }

  static long crc32c(MemorySegment segment) {
    CRC32C crc = new CRC32C();
    crc.update(segment.asByteBuffer());
    return crc.getValue();
  }
}
