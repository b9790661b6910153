package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.testkit.GuardedBytes.Place;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.function.Supplier;

/**
 * Has a codec decode bytes that nobody vouches for, and fails unless what comes of it is allowed: a result, or
 * {@link MalformedDataException}; nothing read or written outside the segments; little time, little memory.
 *
 * <p>Where there is a result, it is that of the bytes alone. They are decoded twice, into targets full of different
 * bytes, and between the two the codec works on a half that has nothing to do with them: whatever it leaves of its own
 * buffers or of the target in what it gives back differs then. One thread.
 */
public final class DecodingWatch {
  /** Beside the half itself: room for tables of a general-purpose coder. */
  private static final long MOST_ALLOCATED = 1 << 20;
  private static final long MOST_NANOS = 1_000_000_000;
  /** A collection or other work delays one call, and one loads classes; not all of these. */
  private static final int TRIES = 4;

  private final Compressor codec;
  private final KvShape shape;
  private final long mostAllocated;
  private final MemorySegment[] others = new MemorySegment[2];
  private final MemorySegment room;
  private final MemorySegment decodedOther;
  private int calls;

  /** For halves of a shape that the codec supports. */
  public DecodingWatch(Compressor codec, KvShape shape) {
    this.codec = codec;
    this.shape = shape;
    mostAllocated = MOST_ALLOCATED + 64 * shape.bytes();
    for (int other = 0; other < others.length; other++) {
      others[other] = KvSamples.NOISE.fill(shape, 77 + other);
    }
    room = MemorySegment.ofArray(new byte[Math.toIntExact(codec.maxStoredBytes(shape))]);
    decodedOther = MemorySegment.ofArray(new byte[Math.toIntExact(shape.bytes())]);
  }

  /**
   * Decodes, and says whether the bytes were taken. Fails on any other outcome than that or
   * {@link MalformedDataException}.
   *
   * @param parameters handed to the codec as they are
   */
  public boolean takes(int parameters, byte... stored) {
    GuardedBytes first = decoded(parameters, stored, (byte) 0x3c);
    if (first == null) {
      return false;
    }
    workOnSomethingElse();
    GuardedBytes second = decoded(parameters, stored, (byte) 0xc3);
    assertTrue(second != null, told("the same bytes were taken once and then refused"));
    assertEquals(-1, first.inner().mismatch(second.inner()),
        told("first byte that does not come from what was decoded, but was there before"));
    return true;
  }

  /** Has the codec's buffers hold something else than they did after the call before. */
  public void workOnSomethingElse() {
    long stored = codec.compress(shape, others[calls++ % others.length], room);
    try {
      codec.decompress(shape, codec.parameters(), room.asSlice(0, stored), decodedOther);
    } catch (MalformedDataException e) {
      throw new AssertionError(codec.name() + " does not read what it wrote", e);
    }
  }

  /** Null when the bytes were refused. */
  private GuardedBytes decoded(int parameters, byte[] stored, byte before) {
    GuardedBytes target = new GuardedBytes(Place.HEAP_UNALIGNED, null, shape.bytes());
    target.inner().fill(before);
    GuardedBytes input = new GuardedBytes(Place.HEAP_UNALIGNED, null, stored.length);
    input.inner().copyFrom(MemorySegment.ofArray(stored));
    boolean taken = false;
    long nanos = Long.MAX_VALUE;
    long allocated = Long.MAX_VALUE;
    for (int tries = 0; tries < TRIES && (nanos > MOST_NANOS || allocated > mostAllocated); tries++) {
      long allocatedBefore = allocatedBytes();
      long start = System.nanoTime();
      taken = decode(parameters, input.inner().asReadOnly(), target.inner());
      nanos = Math.min(nanos, System.nanoTime() - start);
      allocated = Math.min(allocated, allocatedBytes() - allocatedBefore);
    }
    assertTrue(nanos <= MOST_NANOS, told(nanos + " ns"));
    assertTrue(allocated <= mostAllocated, told(allocated + " bytes allocated"));
    target.check();
    input.check();
    assertEquals(-1, input.inner().mismatch(MemorySegment.ofArray(stored)), told("the input was written to"));
    return taken ? target : null;
  }

  private boolean decode(int parameters, MemorySegment stored, MemorySegment target) {
    try {
      codec.decompress(shape, parameters, stored, target);
      return true;
    } catch (MalformedDataException e) {
      assertTrue(e.getMessage() != null && !e.getMessage().isBlank(), told("a refusal without a reason"));
      return false;
    }
  }

  private Supplier<String> told(String what) {
    return () -> codec.name() + ", " + shape + ": " + what;
  }

  private static long allocatedBytes() {
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    return threads.getCurrentThreadAllocatedBytes();
  }
}
