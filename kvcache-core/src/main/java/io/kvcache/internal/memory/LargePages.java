package io.kvcache.internal.memory;

import io.kvcache.spi.Tier;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Set;
import java.util.concurrent.atomic.LongAdder;

/**
 * Memory in pages of 2 MiB, where the system grants them: direct I/O has to find and pin every page of a buffer, which
 * of 4 KiB pages takes longer than a fast disk does, and copying long runs misses fewer addresses. Needs Linux and
 * native access for this module ({@code --enable-native-access}); without, and where the system has no such pages now,
 * memory is as always.
 */
public final class LargePages {
  private static final long BYTES = 2 << 20;
  private static final int READ_AND_WRITE = 3;
  private static final int PRIVATE_ANONYMOUS = 0x22;
  private static final int ADVICE_HUGE_PAGE = 14;
  private static final long FAILED = -1;

  private static final LargePages INSTANCE = find();
  private static final LongAdder MAPPED = new LongAdder();

  private final MethodHandle map;
  private final MethodHandle advise;
  private final MethodHandle unmap;

  private LargePages(MethodHandle map, MethodHandle advise, MethodHandle unmap) {
    this.map = map;
    this.advise = advise;
    this.unmap = unmap;
  }

  /** Whether large pages are asked for. */
  public static boolean asked() {
    return INSTANCE != null;
  }

  /** Bytes of this process for which they were, now; how many the system granted it alone knows. */
  public static long bytes() {
    return MAPPED.sum();
  }

  /**
   * So many bytes, all zero, aligned to {@link Tier#ALIGNMENT}, that the arena frees. Large pages are cleared as they
   * are first touched, so this returns at once; less than one page is worth nothing.
   *
   * @throws OutOfMemoryError when there are none
   * @throws IllegalStateException when the arena is closed
   */
  public static MemorySegment allocate(Arena arena, long bytes) {
    MemorySegment mapped = INSTANCE == null || bytes < BYTES ? null : INSTANCE.mapped(arena, bytes);
    return mapped == null ? arena.allocate(bytes, Tier.ALIGNMENT) : mapped;
  }

  /** Null where the system refuses. */
  @SuppressWarnings("restricted") // asked for only where it is enabled
  private MemorySegment mapped(Arena arena, long bytes) {
    long whole = bytes + BYTES;
    long start;
    long aligned;
    try {
      start = (long) map.invokeExact(0L, whole, READ_AND_WRITE, PRIVATE_ANONYMOUS, -1, 0L);
      if (start == FAILED) {
        return null;
      }
      aligned = (start + BYTES - 1) & -BYTES;
      int refused = (int) advise.invokeExact(aligned, bytes, ADVICE_HUGE_PAGE); // then it is memory all the same
      assert refused == 0 || refused == FAILED;
    } catch (Throwable impossible) {
      throw impossible(impossible);
    }
    MAPPED.add(bytes);
    try {
      return MemorySegment.ofAddress(aligned).reinterpret(bytes, arena, segment -> unmap(start, bytes));
    } catch (IllegalStateException closed) {
      unmap(start, bytes); // nobody else would
      throw closed;
    }
  }

  private void unmap(long start, long bytes) {
    MAPPED.add(-bytes);
    try {
      int failed = (int) unmap.invokeExact(start, bytes + BYTES);
      assert failed == 0 : "memory at " + start + " could not be given back";
    } catch (Throwable impossible) {
      throw impossible(impossible);
    }
  }

  private static AssertionError impossible(Throwable thrown) {
    return new AssertionError("a function of the C library threw", thrown);
  }

  /** Null where it cannot be used. */
  @SuppressWarnings("restricted")
  private static LargePages find() {
    boolean known = System.getProperty("os.name").equals("Linux")
        && Set.of("amd64", "aarch64").contains(System.getProperty("os.arch"));
    if (!known || !LargePages.class.getModule().isNativeAccessEnabled()) {
      return null;
    }
    Linker linker = Linker.nativeLinker();
    ValueLayout.OfLong size = ValueLayout.JAVA_LONG;
    ValueLayout.OfInt number = ValueLayout.JAVA_INT;
    return new LargePages(
        function(linker, "mmap", FunctionDescriptor.of(size, size, size, number, number, number, size)),
        function(linker, "madvise", FunctionDescriptor.of(number, size, size, number)),
        function(linker, "munmap", FunctionDescriptor.of(number, size, size)));
  }

  @SuppressWarnings("restricted")
  private static MethodHandle function(Linker linker, String name, FunctionDescriptor type) {
    return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), type);
  }
}
