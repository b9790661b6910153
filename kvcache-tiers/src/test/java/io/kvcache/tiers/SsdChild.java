package io.kvcache.tiers;

import io.kvcache.spi.EntryId;
import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;

/** Uses a tier in a process of its own until it is killed, and says what is acknowledged. */
final class SsdChild {
  static final long CAPACITY = 32 << 20;
  static final int IDS = 64;

  private SsdChild() {}

  /** {@code hold DIR} opens a tier and waits; {@code churn DIR SEED VERSION} stores, removes and flushes. */
  public static void main(String[] arguments) throws Exception {
    SsdTier tier = SsdTier.builder(Path.of(arguments[1]), CAPACITY).stagingBytes(8 << 20).open();
    System.out.println("ready");
    if (arguments[0].equals("hold")) {
      Thread.currentThread().join();
    }
    churn(tier, new SplittableRandom(Long.parseLong(arguments[2])), Long.parseLong(arguments[3]));
  }

  /** Each line is printed, in one write, once the call has returned, but for intents, which come before. */
  private static void churn(SsdTier tier, SplittableRandom random, long firstVersion) throws IOException {
    PrintStream out = System.out;
    for (long version = firstVersion;; version++) {
      int number = random.nextInt(IDS);
      EntryId id = Payloads.entry(number);
      switch (random.nextInt(8)) {
        case 0, 1 -> {
          out.println("removing " + number);
          tier.remove(List.of(id));
          out.println("removed " + number);
        }
        case 2 -> {
          tier.flush();
          out.println("flushed");
        }
        default -> {
          out.println("storing " + number + " " + version);
          if (Entries.store(tier, id, version, random.nextInt(8, 5000), random.nextInt(8, 300_000))) {
            out.println("stored " + number + " " + version);
          }
        }
      }
    }
  }
}
