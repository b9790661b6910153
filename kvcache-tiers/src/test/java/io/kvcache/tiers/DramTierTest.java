package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.LeakCheck;
import io.kvcache.testkit.Payloads;
import io.kvcache.testkit.TierContract;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.Pipe;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DramTierTest extends TierContract {
  private static final long CAPACITY = 4 << 20;
  private static final byte[] NO_NOTE = {};
  private static final long[] PART = {10_000};

  @Override
  protected Tier newTier(long capacityBytes) {
    return DramTier.open(capacityBytes);
  }

  @ParameterizedTest
  @ValueSource(longs = {Long.MIN_VALUE, -1, 0, 4095, (64 << 10) - 1, 1L << 50, Long.MAX_VALUE})
  void rejectsAbsurdCapacity(long capacity) {
    String message = assertThrows(IllegalArgumentException.class, () -> DramTier.open(capacity)).getMessage();
    assertTrue(message.contains("is " + capacity + ","), message);
    assertTrue(message.contains(String.valueOf(DramTier.MIN_CAPACITY_BYTES)), message);
  }

  @Test
  void smallestCapacityIsUsable() throws IOException {
    try (Tier tier = DramTier.open(DramTier.MIN_CAPACITY_BYTES)) {
      store(tier, Payloads.entry(1));
      assertTrue(tier.usage().usedBytes() <= DramTier.MIN_CAPACITY_BYTES, tier.usage().toString());
    }
  }

  @Test
  void smallPartsShareARunAndLargeOnesStandOnPages() throws IOException {
    long[] lengths = {1, 5000, 4096, 1 << 20, 300_000, 77, 200_000, 100_000};
    try (Tier tier = DramTier.open(CAPACITY);
        TierWrite write = tier.create(Payloads.entry(1), NO_NOTE, lengths).orElseThrow()) {
      for (int part = 0; part < lengths.length; part++) {
        assertEquals(lengths[part], write.part(part).byteSize());
        assertEquals(0, write.part(part).address() % (lengths[part] > 256 << 10 ? 4096 : 64), "part " + part);
      }
      for (int part : new int[] {1, 2, 6}) {
        MemorySegment before = write.part(part - 1);
        long gap = write.part(part).address() - before.address() - before.byteSize();
        assertTrue(gap >= 0 && gap < 64, gap + " bytes before part " + part);
      }
      for (int part : new int[] {3, 4, 5, 7}) {
        assertEquals(0, write.part(part).address() % 4096, "part " + part + " begins a run");
      }
    }
  }

  /** Goal: parts that turn out shorter keep their bytes wherever they end up. */
  @Test
  void partsThatShrinkKeepTheirBytes() throws IOException {
    SplittableRandom random = new SplittableRandom(8);
    try (Tier tier = DramTier.open(16 << 20)) {
      for (int number = 0; number < 300; number++) {
        long[] claimed = new long[random.nextInt(1, 9)];
        long[] lengths = new long[claimed.length];
        for (int part = 0; part < claimed.length; part++) {
          claimed[part] = 1 + (long) (random.nextDouble() * random.nextDouble() * 400_000);
          lengths[part] = random.nextInt(3) == 0 ? claimed[part] : random.nextLong(1, claimed[part] + 1);
        }
        long before = tier.usage().usedBytes();
        EntryId id = Payloads.entry(number);
        try (TierWrite write = tier.create(id, NO_NOTE, claimed).orElseThrow()) {
          for (int part = 0; part < claimed.length; part++) {
            Payloads.fill(write.part(part).asSlice(0, lengths[part]), id.key(), part, number);
          }
          write.commit(lengths);
        }
        try (TierView view = tier.view(id).orElseThrow()) {
          for (int part = 0; part < claimed.length; part++) {
            assertEquals(lengths[part], view.part(part).byteSize());
            assertEquals(-1, Payloads.mismatch(view.part(part), id.key(), part, number),
                "entry " + number + " part " + part);
          }
        }
        tier.remove(List.of(id));
        assertEquals(before, tier.usage().usedBytes());
      }
    }
  }

  /** Goal: memory that views show is kept, and is overwritten the moment the last of them closes. */
  @Test
  void lastViewFreesAndPoisons() throws IOException {
    assertTrue(DramTier.class.desiredAssertionStatus(), "tests run with assertions on");
    try (Tier tier = DramTier.open(CAPACITY)) {
      long empty = tier.usage().usedBytes();
      EntryId id = Payloads.entry(1);
      store(tier, id);
      TierView first = tier.view(id).orElseThrow();
      TierView second = tier.view(id).orElseThrow();
      MemorySegment bytes = first.part(0);
      tier.remove(List.of(id));
      first.close();
      first.close(); // must not take the other view's reference
      assertEquals(-1, Payloads.mismatch(bytes, id.key(), 0, 1));
      assertThrows(IllegalStateException.class, () -> first.part(0));
      second.close();
      assertEquals(empty, tier.usage().usedBytes());
      for (long at = 0; at < bytes.byteSize(); at++) {
        assertEquals(DramTier.POISON, bytes.get(ValueLayout.JAVA_BYTE, at));
      }
    }
  }

  /** Goal: what was not closed is counted and located, all memory is released, and using it throws. */
  @Test
  void closeReportsLeaks() throws IOException {
    Tier tier = DramTier.open(CAPACITY);
    EntryId id = Payloads.entry(1);
    store(tier, id);
    TierView view = tier.view(id).orElseThrow();
    TierWrite write = tier.create(id, NO_NOTE, PART).orElseThrow();
    MemorySegment bytes = view.part(0);
    MemorySegment claimed = write.part(0);
    String message = assertThrows(IllegalStateException.class, tier::close).getMessage();
    assertTrue(message.startsWith("2 writes or views"), message);
    assertTrue(message.contains("closeReportsLeaks"), message);
    tier.close();
    assertThrows(IllegalStateException.class, () -> bytes.get(ValueLayout.JAVA_BYTE, 0));
    assertThrows(IllegalStateException.class, () -> claimed.set(ValueLayout.JAVA_BYTE, 0, (byte) 1));
    assertThrows(IllegalStateException.class, () -> write.commit(PART));
    assertThrows(IllegalStateException.class, () -> tier.view(id));
    view.close();
    write.close();
  }

  /** Goal: closing waits for I/O on the tier's memory. Method: a pipe that nobody reads from at first. */
  @Test
  void closeWaitsForIoOnASegment() throws Exception {
    Tier tier = DramTier.open(4 << 20);
    TierWrite write = tier.create(Payloads.entry(1), NO_NOTE, new long[] {1 << 20}).orElseThrow();
    MemorySegment bytes = write.part(0);
    Pipe pipe = Pipe.open();
    FutureTask<Integer> writing = new FutureTask<>(() -> pipe.sink().write(bytes.asByteBuffer()));
    Thread.ofPlatform().daemon().start(writing);
    ByteBuffer read = ByteBuffer.allocate(1 << 20);
    pipe.source().read(read.limit(1)); // so the write is under way
    write.commit(new long[] {1 << 20});
    FutureTask<Void> closing = new FutureTask<>(() -> {
      tier.close();
      return null;
    });
    Thread closer = Thread.ofPlatform().daemon().start(closing);
    LeakCheck.await("does not wait", () -> closer.getState() == Thread.State.TIMED_WAITING);
    read.limit(1 << 20);
    while (read.hasRemaining()) {
      pipe.source().read(read);
    }
    assertEquals(1 << 20, writing.get(30, TimeUnit.SECONDS));
    closing.get(30, TimeUnit.SECONDS);
    assertFalse(bytes.scope().isAlive(), "memory was not given back");
    pipe.sink().close();
    pipe.source().close();
  }

  @Test
  void handlesAreTracedOnDemandOnly() {
    OpenHandles counting = new OpenHandles(false);
    counting.opened(this);
    assertEquals(1, counting.count());
    assertTrue(counting.describe().contains(DramTier.TRACE_PROPERTY), counting.describe());
  }

  @Test
  void releasingTwiceIsAnError() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment record = arena.allocate(DramRecord.bytes(1), 64);
      Packing packing = new Packing(new long[] {DramRecord.bytes(1), 1});
      DramRecord.write(record, Payloads.entry(1), NO_NOTE, new long[] {1}, packing, new int[] {7});
      DramRecord.retain(record);
      assertEquals(false, DramRecord.release(record));
      assertEquals(true, DramRecord.release(record));
      assertThrows(IllegalStateException.class, () -> DramRecord.release(record));
    }
  }

  /** Goal: entries of a page each take every page there is, and all are found, also when others were removed. */
  @Test
  void smallEntriesTakeEveryPage() throws IOException {
    try (Tier tier = DramTier.open(CAPACITY)) {
      int stored = 0;
      Optional<TierWrite> write = claimPage(tier, stored);
      while (write.isPresent()) {
        write.get().commit(new long[] {1});
        stored++;
        write = claimPage(tier, stored);
      }
      assertEquals((CAPACITY - CAPACITY / 128) / (4096 + 12), stored);
      assertTrue(tier.usage().usedBytes() <= CAPACITY, tier.usage().toString());
      for (int number = 0; number < stored; number += 2) {
        assertEquals(1, tier.remove(List.of(Payloads.entry(number), Payloads.entry(stored + number))));
      }
      for (int number = 0; number < stored; number++) {
        Optional<TierView> view = tier.view(Payloads.entry(number));
        assertEquals(number % 2 == 1, view.isPresent(), "entry " + number);
        view.ifPresent(TierView::close);
      }
      assertEquals(stored / 2, tier.usage().entries());
    }
  }

  /** Goal: an entry whose parts take more than a page to list. */
  @Test
  void manyParts() throws IOException {
    long[] lengths = new long[2000];
    Arrays.setAll(lengths, part -> 1 + part % 900);
    EntryId id = Payloads.entry(1);
    try (Tier tier = DramTier.open(CAPACITY)) {
      try (TierWrite write = tier.create(id, NO_NOTE, lengths).orElseThrow()) {
        for (int part = 0; part < lengths.length; part++) {
          Payloads.fill(write.part(part), id.key(), part, 1);
        }
        write.commit(lengths);
      }
      try (TierView view = tier.view(id).orElseThrow()) {
        for (int part = 0; part < lengths.length; part++) {
          assertEquals(lengths[part], view.part(part).byteSize());
          assertEquals(-1, Payloads.mismatch(view.part(part), id.key(), part, 1));
        }
      }
    }
  }

  /** Goal: a note that grows takes no room from anybody: what is encoded anew must fit into what it leaves. */
  @Test
  void notesOfAnyLengthTakeTheSameRoom() throws IOException {
    try (Tier tier = DramTier.open(CAPACITY)) {
      EntryId id = Payloads.entry(1);
      store(tier, id);
      long used = tier.usage().usedBytes();
      for (int length : new int[] {Tier.MAX_NOTE_BYTES, 0, 77}) {
        byte[] note = new byte[length];
        Arrays.fill(note, (byte) length);
        tier.annotate(Map.of(id, note));
        assertEquals(used, tier.usage().usedBytes());
        List<byte[]> notes = new ArrayList<>();
        tier.inventory(entry -> notes.add(entry.note()));
        assertArrayEquals(note, notes.getFirst());
      }
      try (TierView view = tier.view(id).orElseThrow()) {
        assertEquals(-1, Payloads.mismatch(view.part(0), id.key(), 0, 1), "the note is in front of it");
      }
    }
  }

  /** Goal: closing under running readers ends them with an exception, not the process. */
  @Test
  void closingUnderReadersIsSafe() throws Exception {
    Tier tier = DramTier.open(CAPACITY);
    EntryId id = Payloads.entry(1);
    store(tier, id);
    CountDownLatch reading = new CountDownLatch(2);
    try (ExecutorService threads = Executors.newFixedThreadPool(2)) {
      Future<?> copying = threads.submit(() -> {
        MemorySegment target = MemorySegment.ofArray(new byte[(int) PART[0]]);
        while (true) {
          tier.read(id, 0, target, Deadline.never());
          assertEquals(-1, Payloads.mismatch(target, id.key(), 0, 1));
          reading.countDown();
        }
      });
      Future<?> viewing = threads.submit(() -> {
        while (true) {
          try (TierView view = tier.view(id).orElseThrow()) {
            assertEquals(-1, Payloads.mismatch(view.part(0), id.key(), 0, 1));
            reading.countDown();
          }
        }
      });
      reading.await();
      try {
        tier.close();
      } catch (IllegalStateException leaked) {
        assertTrue(leaked.getMessage().contains("still open"), leaked.getMessage());
      }
      for (Future<?> each : List.of(copying, viewing)) {
        ExecutionException end = assertThrows(ExecutionException.class, () -> each.get(60, TimeUnit.SECONDS));
        assertInstanceOf(IllegalStateException.class, end.getCause());
      }
    }
  }

  private static Optional<TierWrite> claimPage(Tier tier, int number) throws IOException {
    return tier.create(Payloads.entry(number), new byte[Tier.MAX_NOTE_BYTES], new long[] {1});
  }

  private static void store(Tier tier, EntryId id) throws IOException {
    try (TierWrite write = tier.create(id, NO_NOTE, PART).orElseThrow()) {
      Payloads.fill(write.part(0), id.key(), 0, 1);
      write.commit(PART);
    }
  }
}
