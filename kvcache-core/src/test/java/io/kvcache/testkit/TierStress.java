package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLongArray;

/**
 * Several threads on one tier. Every entry is a register with one writer, so its history is a sequence:
 * operation n leaves version n or nothing. A reader notes the last operation finished before it began and the
 * last begun before it ended; what it saw must be the outcome of one of those in between, both ends included.
 * The bytes tell by themselves which version they are.
 */
final class TierStress {
  private static final int WRITERS = 2;
  private static final int READERS = 2;
  private static final int IDS_PER_WRITER = 4;
  private static final long ABSENT = 0;
  private static final long TIMEOUT_SECONDS = 120;

  private final Tier tier;
  private final long seed;
  private final List<Register> registers = new ArrayList<>();
  private final AtomicInteger writersLeft = new AtomicInteger(WRITERS);
  private final CyclicBarrier start = new CyclicBarrier(WRITERS + READERS);

  TierStress(Tier tier, long seed) {
    this.tier = tier;
    this.seed = seed;
  }

  /** One entry's history; operation 0 is its absence. */
  private static final class Register {
    final EntryId id;
    final AtomicLongArray outcomes;
    final AtomicInteger begun = new AtomicInteger();
    final AtomicInteger finished = new AtomicInteger();

    Register(EntryId id, int operations) {
      this.id = id;
      outcomes = new AtomicLongArray(operations + 1);
    }

    int begin(boolean absent) {
      int operation = begun.get() + 1;
      outcomes.set(operation, absent ? ABSENT : operation);
      begun.set(operation); // after the outcome, so that readers who see one see the other
      return operation;
    }

    /** An operation that the tier refused had no effect: its outcome is that of the one before. */
    void refuse(int operation) {
      outcomes.set(operation, outcomes.get(operation - 1));
      finished.set(operation);
    }
  }

  /** Runs so many operations per writer, readers as long as writers, then empties the tier. */
  void run(int operations) throws Exception {
    for (int i = 0; i < WRITERS * IDS_PER_WRITER; i++) {
      registers.add(new Register(Payloads.entry(i), operations));
    }
    ExecutorService threads = Executors.newFixedThreadPool(WRITERS + READERS);
    try {
      List<Future<?>> running = new ArrayList<>();
      for (int i = 0; i < WRITERS; i++) {
        int writer = i;
        running.add(threads.submit(() -> write(writer, operations)));
      }
      for (int i = 0; i < READERS; i++) {
        int reader = i;
        running.add(threads.submit(() -> readUntilDone(reader)));
      }
      for (Future<?> each : running) {
        each.get(TIMEOUT_SECONDS, TimeUnit.SECONDS);
      }
    } finally {
      threads.shutdownNow();
      assertTrue(threads.awaitTermination(TIMEOUT_SECONDS, TimeUnit.SECONDS), "threads did not end");
    }
    tier.remove(registers.stream().map(register -> register.id).toList());
  }

  private Void write(int writer, int operations) throws Exception {
    SplittableRandom random = new SplittableRandom(seed * 31 + writer);
    start.await();
    try {
      for (int i = 0; i < operations; i++) {
        Register register = registers.get(writer * IDS_PER_WRITER + random.nextInt(IDS_PER_WRITER));
        if (random.nextInt(4) == 0) {
          int operation = register.begin(true);
          tier.remove(List.of(register.id));
          register.finished.set(operation);
        } else {
          put(register, random);
        }
        TierContract.assertWithinCapacity(tier, "seed=" + seed);
      }
    } finally {
      writersLeft.decrementAndGet();
    }
    return null;
  }

  private void put(Register register, SplittableRandom random) throws IOException {
    int operation = register.begin(false);
    long[] parts = {random.nextLong(64, 5000), random.nextLong(64, 200_000)};
    Optional<TierWrite> claimed = tier.create(register.id, new byte[8], parts);
    if (claimed.isEmpty() || random.nextInt(10) == 0) {
      claimed.ifPresent(TierWrite::close);
      register.refuse(operation);
      return;
    }
    try (TierWrite write = claimed.get()) {
      long[] lengths = {parts[0], random.nextLong(64, parts[1] + 1)};
      for (int part = 0; part < lengths.length; part++) {
        Payloads.fill(write.part(part).asSlice(0, lengths[part]), register.id.key(),
            Payloads.stream(register.id, part), operation);
      }
      write.commit(lengths);
    }
    register.finished.set(operation);
  }

  private Void readUntilDone(int reader) throws Exception {
    SplittableRandom random = new SplittableRandom(seed * 31 + WRITERS + reader);
    start.await();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment target = arena.allocate(TierModel.roundUp(200_000), Tier.ALIGNMENT);
      while (writersLeft.get() > 0) {
        Register register = registers.get(random.nextInt(registers.size()));
        if (random.nextBoolean()) {
          read(register, random.nextInt(2), target);
        } else {
          view(register);
        }
      }
    }
    return null;
  }

  private void read(Register register, int part, MemorySegment target) {
    int from = register.finished.get();
    ReadResult result = tier.read(register.id, part, target, Deadline.never());
    int to = register.begun.get();
    switch (result) {
      case ReadResult.Present present ->
          check(register, target.asSlice(0, present.bytes()), part, from, to);
      case ReadResult.Missing missing -> assertPossible(register, ABSENT, from, to);
      case ReadResult.Unreadable unreadable ->
          throw new AssertionError("seed=" + seed + ": " + register.id, unreadable.cause());
    }
  }

  private void view(Register register) {
    int from = register.finished.get();
    Optional<TierView> found = tier.view(register.id);
    int to = register.begun.get();
    if (found.isEmpty()) {
      return; // absent, or a tier without views: reading tells the two apart
    }
    try (TierView view = found.get()) {
      long first = check(register, view.part(0), 0, from, to);
      long second = check(register, view.part(1), 1, from, to);
      assertEquals(first, second, "seed=" + seed + ": two versions in a view");
    }
  }

  private long check(Register register, MemorySegment bytes, int part, int from, int to) {
    long stream = Payloads.stream(register.id, part);
    long version = Payloads.version(bytes, register.id.key(), stream);
    long wrong = Payloads.mismatch(bytes, register.id.key(), stream, version);
    String at = "seed=" + seed + ": " + register.id + " part " + part;
    assertEquals(-1, wrong, () -> at + ": torn or foreign bytes");
    assertPossible(register, version, from, to);
    return version;
  }

  private void assertPossible(Register register, long outcome, int from, int to) {
    for (int operation = from; operation <= to; operation++) {
      if (register.outcomes.get(operation) == outcome) {
        return;
      }
    }
    throw new AssertionError("seed=" + seed + ": " + register.id + " showed " + outcome
        + ", which no operation from " + from + " to " + to + " left");
  }
}
