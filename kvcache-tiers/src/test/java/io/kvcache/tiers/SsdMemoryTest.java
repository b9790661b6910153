package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Goal: a tier keeps to the native memory it is documented to take: beyond what there is, RocksDB ends the process.
 * Method: a child JVM that may take so much address space, and no more, fills a tier, reads all of it and heals.
 */
@Timeout(180)
final class SsdMemoryTest {
  private static final long CAPACITY = 1 << 30;
  private static final long STAGING = 8 << 20;
  private static final int ENTRIES = 1500;
  private static final long[] PARTS = {30_000};

  /** What the documentation of the tier says. */
  private static final long BUDGET = STAGING + (32 << 20) + 2 * (SsdOpening.reserveBytes(CAPACITY) / 8);

  /** For tables and threads, and for what the JVM itself takes meanwhile: code, metadata. */
  private static final long BESIDE = 32 << 20;

  /** Address space that is reserved beside that and not used, such as stacks of 8 MiB. */
  private static final long RESERVED = 64 << 20;

  @TempDir
  Path scratch;

  /** Says how much address space and memory it takes with a tier that is open and empty, uses it, and says it again. */
  static final class Child {
    private Child() {}

    /** {@code DIR}. */
    public static void main(String[] arguments) throws IOException {
      try (SsdTier tier = SsdTier.builder(Path.of(arguments[0]), CAPACITY).stagingBytes(STAGING)
          .pauses(Long.MAX_VALUE, Long.MAX_VALUE).freeSpaceFloorBytes(0).open();
          Arena arena = Arena.ofConfined()) {
        System.out.println(status("VmSize"));
        System.out.println(status("VmRSS"));
        MemorySegment target = Entries.target(arena, PARTS[0]);
        for (int number = 0; number < ENTRIES; number++) {
          require(Entries.store(tier, Payloads.entry(number), 1, PARTS));
        }
        for (int round = 0; round < 2; round++) {
          for (int number = 0; number < ENTRIES; number++) {
            require(Entries.version(tier, Payloads.entry(number), 0, target) == 1);
          }
          tier.store().records().fail(new IOException("injected"));
          require(tier.heal());
        }
        System.out.println(status("VmHWM"));
      }
    }

    private static void require(boolean holds) {
      if (!holds) {
        throw new IllegalStateException("the tier did not do what it was asked");
      }
    }

    /** In bytes. */
    private static long status(String field) throws IOException {
      try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
        String line = lines.filter(each -> each.startsWith(field + ":")).findFirst().orElseThrow();
        return Long.parseLong(line.replaceAll("\\D", "")) << 10;
      }
    }
  }

  /** What a child said and how it ended; {@code limitBytes} is 0 for none. */
  private record Run(List<String> said, int exit) {
    long bytes(int line) {
      return Long.parseLong(said.get(line));
    }
  }

  private Run run(String name, long limitBytes) throws Exception {
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    ProcessBuilder builder = new ProcessBuilder("sh", "-c",
        (limitBytes == 0 ? "" : "ulimit -v " + (limitBytes >> 10) + "; ") + "exec \"$@\"", "sh", java, "-ea",
        "-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        "-XX:-CreateCoredumpOnCrash",
        "-XX:ErrorFile=" + scratch.resolve("crash.log"), "--enable-native-access=ALL-UNNAMED", "-cp",
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
        Child.class.getName(), scratch.resolve(name).toString());
    builder.environment().put("MALLOC_ARENA_MAX", "1"); // else every thread reserves address space, used or not
    Process child = builder.redirectError(scratch.resolve(name + ".err").toFile()).start();
    String said = new String(child.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
    return new Run(said.lines().toList(), child.waitFor());
  }

  @Test
  void keepsToItsBudget() throws Exception {
    assumeTrue(Files.isReadable(Path.of("/proc/self/status")),
        "skipped: needs /proc to see what a process takes");
    Run free = run("free", 0);
    assertEquals(0, free.exit, () -> free.said.toString());
    long taken = free.bytes(2) - free.bytes(1);
    System.out.printf(
        "SSD tier: %.1f MiB more than when it was opened, the budget is %.1f and %.1f beside it%n",
        taken / 1048576.0, BUDGET / 1048576.0, BESIDE / 1048576.0);
    assertTrue(taken <= BUDGET + BESIDE, "took " + taken);
    assertEquals(0, run("limited", free.bytes(0) + BUDGET + BESIDE + RESERVED).exit);
  }

  /** Goal: the limit above is one. */
  @Test
  @Tag("long")
  void processEndsWhereThereIsLess() throws Exception {
    assumeTrue(Files.isReadable(Path.of("/proc/self/status")),
        "skipped: needs /proc to see what a process takes");
    Run free = run("free", 0);
    assertNotEquals(0, run("limited", free.bytes(0) + BUDGET / 8).exit);
  }
}
