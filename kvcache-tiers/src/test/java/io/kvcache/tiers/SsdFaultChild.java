package io.kvcache.tiers;

import io.kvcache.spi.EntryId;
import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;

/**
 * Uses a tier in a process of its own, to which somebody does harm from outside, and says what becomes of each call.
 * One thread reads entries that were flushed at first and are never changed; another stores, removes and flushes.
 */
final class SsdFaultChild {
  static final long CAPACITY = 32 << 20;

  /** Entries below this are flushed at first and then only read. */
  static final int KEPT = 8;

  static final int IDS = 32;
  static final long[] PARTS = {900, 200_000};

  private static final PrintStream OUT = System.out;
  private static final AtomicBoolean OVER = new AtomicBoolean();

  private SsdFaultChild() {}

  /** {@code DIR SEED FIRST_PAUSE_MILLIS LONGEST_PAUSE_MILLIS}; ends, and closes the tier, at the end of its input. */
  public static void main(String[] arguments) throws Exception {
    long first = Long.parseLong(arguments[2]) * 1_000_000;
    long longest = Long.parseLong(arguments[3]) * 1_000_000;
    try (SsdTier tier = SsdTier.builder(Path.of(arguments[0]), CAPACITY).stagingBytes(4 << 20)
        .pauses(first, longest).open()) {
      for (int number = 0; number < KEPT; number++) {
        Entries.store(tier, Payloads.entry(number), 1, PARTS);
      }
      tier.flush();
      OUT.println("ready");
      SplittableRandom random = new SplittableRandom(Long.parseLong(arguments[1]));
      Thread reader = Thread.ofPlatform().start(() -> read(tier));
      Thread writer = Thread.ofPlatform().start(() -> write(tier, random));
      System.in.readAllBytes();
      OVER.set(true);
      reader.join();
      writer.join();
    }
    OUT.println("closed");
  }

  private static void read(SsdTier tier) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment target = Entries.target(arena, PARTS[1]);
      for (int call = 0; !OVER.get(); call++) {
        int number = call % KEPT;
        long start = System.nanoTime();
        long version = Entries.version(tier, Payloads.entry(number), call / KEPT % PARTS.length, target);
        long millis = (System.nanoTime() - start) / 1_000_000;
        OUT.println(
            (version == 1 ? "read " : version == -1 ? "unreadable " : "wrong ") + number + " " + millis);
        LockSupport.parkNanos(2_000_000);
      }
    } catch (Throwable e) {
      OUT.println("wrong " + e);
    }
  }

  /** An intent before each call, what became of it afterwards, each in one write. */
  private static void write(SsdTier tier, SplittableRandom random) {
    try {
      for (int version = 2; !OVER.get(); version++) {
        int number = KEPT + random.nextInt(IDS - KEPT);
        EntryId id = Payloads.entry(number);
        int what = random.nextInt(10);
        String call =
            (what == 0 ? "flush" : what < 3 ? "remove " + number : "store " + number + " " + version);
        OUT.println("try " + call);
        long start = System.nanoTime();
        String outcome = switch (what) {
          case 0 -> outcome(() -> {
            tier.flush();
            return true;
          });
          case 1, 2 -> outcome(() -> tier.remove(List.of(id)) >= 0);
          default -> {
            int stored = version;
            yield outcome(() -> Entries.store(tier, id, stored, PARTS));
          }
        };
        OUT.println(outcome + " " + (System.nanoTime() - start) / 1_000_000 + " " + call);
        LockSupport.parkNanos(2_000_000);
      }
    } catch (Throwable e) {
      OUT.println("wrong " + e);
    }
  }

  /** A call that may find no room. */
  private interface Call {
    boolean done() throws IOException;
  }

  private static String outcome(Call call) {
    try {
      return call.done() ? "done" : "full";
    } catch (IOException e) {
      return "failed";
    }
  }
}
