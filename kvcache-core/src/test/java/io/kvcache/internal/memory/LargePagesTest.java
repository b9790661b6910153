package io.kvcache.internal.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.kvcache.spi.Tier;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class LargePagesTest {
  private static final long BYTES = 64 << 20;

  @Test
  void memoryIsUsableWhileItsArenaIsOpen() {
    MemorySegment memory;
    try (Arena arena = Arena.ofShared()) {
      memory = LargePages.allocate(arena, BYTES);
      assertEquals(BYTES, memory.byteSize());
      assertEquals(0, memory.address() % Tier.ALIGNMENT);
      for (long at = 0; at < BYTES; at += Tier.ALIGNMENT) {
        assertEquals(0, memory.get(ValueLayout.JAVA_LONG, at));
        memory.set(ValueLayout.JAVA_LONG, at, at);
      }
      assertEquals(BYTES - Tier.ALIGNMENT, memory.get(ValueLayout.JAVA_LONG, BYTES - Tier.ALIGNMENT));
    }
    assertThrows(IllegalStateException.class, () -> memory.get(ValueLayout.JAVA_LONG, 0));
  }

  /** Goal: tests do run with it where it can be. */
  @Test
  void areAskedForHere() {
    boolean linux =
        System.getProperty("os.name").equals("Linux") && System.getProperty("os.arch").equals("amd64");
    assertEquals(linux, LargePages.asked() && System.getProperty("os.arch").equals("amd64"));
  }

  /** Goal: memory is given back with its arena. Method: the size of the process. */
  @Test
  void memoryIsGivenBack() throws IOException {
    assumeLargePages();
    long before = virtualKib();
    for (int time = 0; time < 100; time++) {
      try (Arena arena = Arena.ofShared()) {
        LargePages.allocate(arena, 1L << 30);
      }
    }
    long grown = virtualKib() - before;
    assertTrue(grown < 50L << 20, grown + " KiB more than before");
  }

  private static void assumeLargePages() {
    assumeTrue(LargePages.asked(), "skipped: not Linux");
  }

  private static long virtualKib() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("VmSize:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", ""))).findFirst().orElseThrow();
  }
}
