package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.KvCache;
import io.kvcache.KvLease;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.StoreOptions;
import io.kvcache.Tokens;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.BlockingTier;
import io.kvcache.testkit.FaultyTier;
import io.kvcache.testkit.FaultyTier.Fault;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.ForwardingWrite;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Reservations: what they answer, and that a commit is all or nothing. */
class ReservationTest extends EngineTest {
  @Test
  void storesOnlyWhatIsMissing() {
    KvCache cache = open(tier("dram", MEMORY, 20));
    TestPrompt prompt = prompt(1, 2);
    assertEquals(Status.RESERVED, prompt.store(cache));
    assertEquals(Status.STORED, prompt.store(cache));
    try (KvReservation reservation = prompt.then(2, 3).reserve(cache)) {
      assertEquals(2 * CHUNK_TOKENS, reservation.firstToken());
      assertEquals(3 * CHUNK_TOKENS, reservation.tokens());
    }
    assertEquals(2L * CHUNK_TOKENS, cache.stats().storedTokens());
  }

  @Test
  void promptWithoutAFullChunkIsStored() {
    KvCache cache = open(tier("dram", MEMORY, 20));
    try (KvReservation reservation =
        cache.reserve(NAMESPACE, Tokens.of(1, 2, 3), StoreOptions.defaults())) {
      assertEquals(Status.STORED, reservation.status());
      assertEquals(0, reservation.tokens());
      assertFalse(reservation.commit());
    }
  }

  @Test
  void whatIsNotCommittedIsInvisible() {
    MemoryTier dram = tier("dram", MEMORY, 20);
    KvCache cache = open(dram);
    TestPrompt prompt = prompt(1, 2);
    try (KvReservation reservation = prompt.reserve(cache)) {
      prompt.write(reservation);
      assertEquals(0, prompt.find(cache));
    }
    assertEquals(0, prompt.find(cache));
    assertEquals(0, dram.usage().usedBytes());
    assertEquals(Status.RESERVED, prompt.store(cache));
  }

  @Test
  void secondReservationOfAChunkInFlightIsPending() {
    KvCache cache = open(tier("dram", MEMORY, 20));
    TestPrompt prompt = prompt(1, 2);
    try (KvReservation first = prompt.reserve(cache);
        KvReservation second = prompt.then(2, 1).reserve(cache)) {
      assertEquals(Status.RESERVED, first.status());
      assertEquals(Status.PENDING, second.status());
      second.write(0, MemorySegment.NULL, MemorySegment.NULL);
      assertFalse(second.commit());
    }
    assertEquals(Status.RESERVED, prompt.then(2, 1).store(cache));
  }

  @Test
  void claimsUpToWhatSomeoneElseIsStoring() {
    KvCache cache = open(tier("dram", MEMORY, 20));
    prompt(1, 2).store(cache);
    TestPrompt longer = prompt(1, 4);
    try (KvReservation first = longer.reserve(cache)) {
      assertEquals(2 * CHUNK_TOKENS, first.firstToken());
      try (KvReservation other = prompt(1, 2).then(9, 1).reserve(cache)) {
        assertEquals(Status.RESERVED, other.status(), "another branch is not in flight");
      }
    }
  }

  @Test
  void lookUpMayWaitForWhatIsBeingStored() throws Exception {
    KvCache cache = open(tier("dram", MEMORY, 20));
    TestPrompt prompt = prompt(1, 3);
    CountDownLatch asking = new CountDownLatch(1);
    try (KvReservation reservation = prompt.reserve(cache)) {
      CompletableFuture<Integer> found = elsewhere(() -> {
        asking.countDown();
        return prompt.find(cache, AcquireOptions.exact().awaitingPending());
      });
      assertTrue(asking.await(10, TimeUnit.SECONDS));
      prompt.write(reservation);
      assertFalse(found.isDone(), "did not wait");
      assertTrue(reservation.commit());
      assertEquals(3, found.get(10, TimeUnit.SECONDS));
    }
  }

  @Test
  void lookUpWaitsNoLongerThanTheReservationLives() throws Exception {
    KvCache cache = open(tier("dram", MEMORY, 20));
    TestPrompt prompt = prompt(1, 3);
    CompletableFuture<Integer> found;
    try (KvReservation reservation = prompt.reserve(cache)) {
      assertEquals(0,
          prompt.find(cache, AcquireOptions.exact().awaitingPending().deadline(Duration.ofMillis(5))));
      found = elsewhere(() -> prompt.find(cache, AcquireOptions.exact().awaitingPending()));
      prompt.write(reservation);
    }
    assertEquals(0, found.get(5, TimeUnit.SECONDS));
  }

  @Test
  void fullAnswersAtOnceWhileTheNextTierHangs() throws Exception {
    MemoryTier dram = tier("dram", MEMORY, 2);
    BlockingTier slow = new BlockingTier(tier("ssd", DISK, 20));
    KvCache cache = open(dram, slow);
    prompt(1, 2).store(cache);
    slow.block();
    try (KvReservation refused = prompt(2, 2).reserve(cache)) {
      assertEquals(Status.FULL, refused.status());
      slow.awaitCaller();
      long start = System.nanoTime();
      for (int i = 0; i < 100; i++) {
        prompt(3 + i, 2).reserve(cache).close();
      }
      assertTrue(System.nanoTime() - start < TimeUnit.SECONDS.toNanos(5), "reserve waited for a tier");
    } finally {
      slow.release();
    }
    assertEquals(101, cache.stats().rejectedReservations());
  }

  @Test
  void waitsForRoomWhenAsked() {
    KvCache cache = open(tier("dram", MEMORY, 3), tier("ssd", DISK, 20));
    prompt(1, 2).store(cache);
    StoreOptions patient = StoreOptions.defaults().waitForRoom(Duration.ofSeconds(20));
    TestPrompt next = prompt(2, 3);
    try (KvReservation reservation = cache.reserve(NAMESPACE, next.tokens(), patient)) {
      assertEquals(Status.RESERVED, reservation.status());
      next.write(reservation);
      assertTrue(reservation.commit());
    }
    assertEquals(2, prompt(1, 2).find(cache), "what was in the way is in the next tier");
  }

  @Test
  void refusedReservationHasRoomMadeForIt() {
    KvCache cache = openStill(LruPlacement.raw(), tier("dram", MEMORY, 4), tier("ssd", DISK, 20));
    prompt(1, 2).store(cache);
    prompt(2, 2).store(cache);
    prompt(3, 4).reserve(cache).close();
    background.runAll();
    assertEquals(Status.RESERVED, prompt(3, 4).store(cache));
    assertEquals(2, prompt(1, 2).find(cache));
  }

  @Test
  void whatNeverFitsIsRefusedAndEvictsNothing() {
    KvCache cache = openStill(LruPlacement.raw(), tier("dram", MEMORY, 4));
    prompt(1, 3).store(cache);
    StoreOptions patient = StoreOptions.defaults().waitForRoom(Duration.ofDays(1));
    try (KvReservation refused = cache.reserve(NAMESPACE, prompt(2, 9).tokens(), patient)) {
      assertEquals(Status.FULL, refused.status());
    }
    background.runAll();
    assertEquals(3, prompt(1, 3).find(cache));
    assertEquals(0, cache.stats().tiers().getFirst().evictedChunks());
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4})
  void commitIsAllOrNothing(int failing) {
    MemoryTier ssd = tier("ssd", DISK, 20);
    KvCache cache = open(new FailsCommit(ssd, failing));
    TestPrompt prompt = prompt(1, 4);
    try (KvReservation reservation = prompt.reserve(cache)) {
      prompt.write(reservation);
      assertFalse(reservation.commit());
    }
    assertEquals(0, prompt.find(cache));
    assertEquals(0, ssd.usage().usedBytes());
    assertEquals(0, cache.stats().storedTokens());
    assertEquals(1, cache.stats().tiers().getFirst().errors());
    assertEquals(Status.RESERVED, prompt.store(cache));
    assertEquals(4, prompt.find(cache));
  }

  /** Fails the commit of the entry claimed as the {@code failing}th, once. */
  private static final class FailsCommit extends ForwardingTier {
    private int left;

    FailsCommit(Tier inner, int failing) {
      super(inner);
      left = failing;
    }

    @Override
    public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
      Optional<TierWrite> write = super.create(id, note, partBytes);
      return --left == 0 ? write.map(Failing::new) : write;
    }
  }

  private static final class Failing extends ForwardingWrite {
    Failing(TierWrite inner) {
      super(inner);
    }

    @Override
    public void commit(long[] partBytes) throws IOException {
      throw new IOException("no space left on device");
    }
  }

  @Test
  void failingClaimEvictsNothing() {
    FaultyTier failing = new FaultyTier(tier("ssd", DISK, 10), 1);
    KvCache cache = openStill(LruPlacement.raw(), failing);
    prompt(1, 3).store(cache);
    failing.set(Fault.CREATE_FAILS, 1);
    assertEquals(Status.FULL, prompt(2, 2).store(cache));
    background.runAll();
    failing.setEnabled(false);
    assertEquals(3, prompt(1, 3).find(cache));
  }

  @Test
  void prefixRemovedMeanwhileLeavesNothingToCommit() throws Exception {
    MemoryTier dram = tier("dram", MEMORY, 20);
    KvCache cache = open(dram);
    TestPrompt start = prompt(1, 2);
    start.store(cache);
    TestPrompt longer = start.then(2, 2);
    try (KvReservation reservation = longer.reserve(cache)) {
      longer.write(reservation);
      assertEquals(2, cache.remove(NAMESPACE, start.tokens()));
      assertFalse(reservation.commit());
    }
    assertEquals(0, longer.find(cache));
    assertEquals(0, dram.usage().usedBytes());
  }

  @Test
  void refusesWrongSegments() {
    KvCache cache = open(tier("dram", MEMORY, 20));
    TestPrompt prompt = prompt(1, 2);
    MemorySegment rows = MemorySegment.ofArray(new byte[512]);
    try (KvReservation reservation = prompt.reserve(cache)) {
      refused("keys have 511 bytes, must be 512", () -> reservation.write(0, rows.asSlice(1), rows));
      refused("values have 512 bytes, must be 0",
          () -> reservation.write(1, MemorySegment.ofArray(new byte[768]), rows));
      assertThrows(IndexOutOfBoundsException.class, () -> reservation.write(3, rows, rows));
      prompt.write(reservation, 0);
      refused("layer 0 was written already", () -> reservation.write(0, rows, rows));
      prompt.write(reservation, 2);
      assertEquals("layer 1 of 3 was not written before the commit",
          assertThrows(IllegalStateException.class, reservation::commit).getMessage());
      prompt.write(reservation, 1);
      assertTrue(reservation.commit());
      assertThrows(IllegalStateException.class, reservation::commit);
      assertThrows(IllegalStateException.class, () -> prompt.write(reservation, 0));
    }
    assertEquals(2, prompt.find(cache));
  }

  private static void refused(String message, Runnable call) {
    assertEquals(message, assertThrows(IllegalArgumentException.class, call::run).getMessage());
  }

  @Test
  void layerThatCouldNotBeReadFromTheCallerIsNotWritten() {
    KvCache cache = open(tier("dram", MEMORY, 20));
    TestPrompt prompt = prompt(1, 2);
    try (KvReservation reservation = prompt.reserve(cache)) {
      MemorySegment freed;
      try (Arena arena = Arena.ofConfined()) {
        freed = arena.allocate(512);
      }
      assertThrows(IllegalStateException.class, () -> reservation.write(0, freed, freed));
      prompt.write(reservation);
      assertTrue(reservation.commit());
    }
    assertEquals(2, prompt.find(cache));
  }

  @Test
  void takesArraysOfAnyType() {
    KvCache cache = open(tier("dram", MEMORY, 20));
    TestPrompt prompt = prompt(1, 1);
    try (KvReservation reservation = prompt.reserve(cache)) {
      reservation.write(0, MemorySegment.ofArray(new short[128]), MemorySegment.ofArray(new float[64]));
      reservation.write(1, MemorySegment.ofArray(new char[192]).asReadOnly(), MemorySegment.NULL);
      reservation.write(2, MemorySegment.ofArray(new long[32]), MemorySegment.ofArray(new int[64]));
      assertTrue(reservation.commit());
    }
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
      MemorySegment rows = MemorySegment.ofArray(new byte[256]).fill((byte) 7);
      assertEquals(CHUNK_TOKENS, lease.read(2, rows, rows));
      assertEquals(-1, rows.mismatch(MemorySegment.ofArray(new byte[256])));
    }
  }
}
