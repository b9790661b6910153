package io.kvcache.tiers;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Set;

/**
 * Memory in pages of 2 MiB, where the system grants them: direct I/O has to find and pin every page of a buffer, which
 * of 4 KiB pages takes longer than a fast disk does. Needs Linux and native access for this module ({@code
 * --enable-native-access}); without, and where the system has no such pages now, memory is as always.
 */
final class LargePages {
  private static final long BYTES = 2 << 20;
  private static final int READ_AND_WRITE = 3;
  private static final int PRIVATE_ANONYMOUS = 0x22;
  private static final int ADVICE_HUGE_PAGE = 14;
  private static final long FAILED = -1;

  private static final LargePages INSTANCE = find();

  private final MethodHandle map;
  private final MethodHandle advise;
  private final MethodHandle unmap;

  private LargePages(MethodHandle map, MethodHandle advise, MethodHandle unmap) {
    this.map = map;
    this.advise = advise;
    this.unmap = unmap;
  }

  /** Whether large pages are asked for. */
  static boolean asked() {
    return INSTANCE != null;
  }

  /**
   * So many bytes, page-aligned, that the arena frees; nobody may close it meanwhile. Large pages are cleared as they
   * are first touched.
   *
   * @throws OutOfMemoryError when there are none
   */
  static MemorySegment allocate(Arena arena, long bytes) {
    MemorySegment mapped = INSTANCE == null ? null : INSTANCE.mapped(arena, bytes);
    return mapped == null ? arena.allocate(bytes, Pages.BYTES) : mapped;
  }

  /** Null where the system refuses. */
  @SuppressWarnings("restricted") // asked for only where it is enabled
  private MemorySegment mapped(Arena arena, long bytes) {
    long whole = bytes + BYTES;
    if (!arena.scope().isAlive()) {
      throw new IllegalStateException("the arena is closed"); // or nothing would ever give the memory back
    }
    try {
      long start = (long) map.invokeExact(0L, whole, READ_AND_WRITE, PRIVATE_ANONYMOUS, -1, 0L);
      if (start == FAILED) {
        return null;
      }
      long aligned = (start + BYTES - 1) & -BYTES;
      int refused = (int) advise.invokeExact(aligned, bytes, ADVICE_HUGE_PAGE); // then it is memory all the same
      assert refused == 0 || refused == FAILED;
      return MemorySegment.ofAddress(aligned).reinterpret(bytes, arena, segment -> unmap(start, whole));
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable impossible) {
      throw new AssertionError("a function of the C library threw", impossible);
    }
  }

  private void unmap(long start, long bytes) {
    try {
      int failed = (int) unmap.invokeExact(start, bytes);
      assert failed == 0 : "memory at " + start + " could not be given back";
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable impossible) {
      throw new AssertionError("a function of the C library threw", impossible);
    }
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
