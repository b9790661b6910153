package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvCache;
import io.kvcache.KvReservation;
import io.kvcache.KvReservation.Status;
import io.kvcache.StoreOptions;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.SegmentView;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierEntry;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.FaultyTier;
import io.kvcache.testkit.FaultyTier.Fault;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TruncatingCompressor;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Room for what is to be stored: made where that helps, and only there. */
class RoomTest extends EngineTest {
  /** Refuses claims for a while, as a disk does whose memory for writes is taken. */
  private static final class BusyTier extends ForwardingTier {
    boolean busy;

    BusyTier(Tier inner) {
      super(inner);
    }

    @Override
    public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
      return busy ? Optional.empty() : super.create(id, note, partBytes);
    }

    @Override
    public boolean removalHelps(long[] partBytes) throws IOException {
      return !busy && super.removalHelps(partBytes);
    }
  }

  @Test
  void whatEvictingDoesNotCureEvictsNothing() {
    BusyTier ssd = new BusyTier(tier("ssd", DISK, 10));
    KvCache cache = openStill(LruPlacement.raw(), ssd);
    prompt(1, 10).store(cache);
    ssd.busy = true;
    assertEquals(Status.FULL, prompt(2, 2).store(cache));
    background.runAll();
    assertEquals(10, prompt(1, 10).find(cache));
    assertEquals(0, cache.stats().tiers().getFirst().evictedChunks());
    ssd.busy = false;
    assertEquals(Status.RESERVED, prompt(2, 2).store(cache));
  }

  @Test
  void moveDoesNotEvictForATierThatIsBusy() {
    BusyTier ssd = new BusyTier(tier("ssd", DISK, 5));
    MemoryTier far = tier("far", DISK, 20);
    KvCache cache = openStill(LruPlacement.raw(), tier("dram", MEMORY, 4), ssd, far);
    prompt(1, 4).store(cache);
    prompt(2, 4).reserve(cache).close();
    background.runAll();
    prompt(2, 4).store(cache);
    ssd.busy = true;
    prompt(3, 4).reserve(cache).close();
    background.runAll();
    assertEquals(4, prompt(1, 4).find(cache));
    assertEquals(0, far.usage().entries(), "moved on in vain");
  }

  /** Goal: files and native calls are for the cache's own threads, in {@code open} and {@code reserve} too. */
  @Test
  void callersDoNoWorkOfADisk() {
    Set<Thread> callers = ConcurrentHashMap.newKeySet();
    KvCache cache = open(new ForwardingTier(tier("ssd", DISK, 4)) {
      @Override
      public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
        callers.add(Thread.currentThread());
        return super.create(id, note, partBytes);
      }

      @Override
      public void inventory(Consumer<TierEntry> entries) throws IOException {
        callers.add(Thread.currentThread());
        super.inventory(entries);
      }

      @Override
      public int remove(Collection<EntryId> ids) throws IOException {
        callers.add(Thread.currentThread());
        return super.remove(ids);
      }
    });
    prompt(1, 3).store(cache);
    assertEquals(Status.RESERVED, prompt(2, 3).store(cache), "evicts the first");
    assertFalse(callers.isEmpty());
    assertFalse(callers.contains(Thread.currentThread()));
  }

  /** Goal: a tier below that is broken does not cost a context its middle. */
  @Test
  void onlyLeavesAreDroppedForATierThatIsBroken() {
    FaultyTier broken = new FaultyTier(tier("ssd", DISK, 20), 1).set(Fault.CREATE_FAILS, 1);
    KvCache cache = openStill(LruPlacement.raw(), tier("dram", MEMORY, 6), broken);
    prompt(1, 2).store(cache);
    prompt(1, 2).then(2, 2).store(cache);
    prompt(1, 2).then(3, 2).store(cache);
    prompt(9, 2).reserve(cache).close();
    background.runAll();
    assertEquals(Status.RESERVED, prompt(9, 2).store(cache));
    assertEquals(2, prompt(1, 2).find(cache), "others go on behind it");
  }

  /** Goal: a move does not store what a reservation is storing. Method: both, of a chunk stored lossily. */
  @Test
  void moveLeavesChunksInFlightAlone() throws Exception {
    MemoryTier dram = tier("dram", MEMORY, 20);
    MemoryTier ssd = tier("ssd", DISK, 20);
    KvCache cache = openStill(LruPlacement.withCodecs(new TruncatingCompressor().codec()), dram, ssd);
    prompt(1, 2).store(cache);
    StoreOptions better = StoreOptions.defaults().replacingBelow(1);
    try (KvReservation exact = cache.reserve(NAMESPACE, prompt(1, 2).tokens(), better)) {
      assertEquals(Status.RESERVED, exact.status());
      cache.flush();
      assertEquals(0, ssd.usage().entries());
      prompt(1, 2).write(exact);
      exact.commit();
    }
    cache.flush();
    assertEquals(2, ssd.usage().entries());
  }

  /** Goal: what would have to be moved first does not hide what can be dropped at once. */
  @Test
  void dropsCopiesThatLieBehindWhatIsNowhereElse() throws Exception {
    KvCache cache = openStill(LruPlacement.raw(), tier("dram", MEMORY, 4), tier("ssd", DISK, 20));
    prompt(1, 2).store(cache);
    cache.flush();
    clock.advance(1);
    prompt(2, 2).store(cache);
    clock.advance(1);
    assertEquals(2, prompt(1, 2).find(cache));
    assertEquals(Status.RESERVED, prompt(3, 2).store(cache));
    assertEquals(2, prompt(1, 2).find(cache), "is on the disk");
    assertEquals(2, prompt(2, 2).find(cache));
  }

  /** Goal: a prompt that the fastest tier can never hold is cached all the same. */
  @Test
  void aPromptLargerThanATierGoesToTheNext() {
    MemoryTier dram = tier("dram", MEMORY, 4);
    MemoryTier ssd = tier("ssd", DISK, 10);
    KvCache cache = openStill(LruPlacement.raw(), dram, ssd);
    prompt(1, 2).store(cache);
    assertEquals(Status.RESERVED, prompt(2, 6).store(cache));
    assertEquals(6, ssd.usage().entries());
    assertEquals(2, dram.usage().entries(), "nothing had to go for it");
    assertEquals(6, prompt(2, 6).find(cache));
    assertEquals(Status.FULL, prompt(3, 11).store(cache));
  }

  /** Goal: nor is it kept as it is when the policy wants it pruned, and so small enough. */
  @Test
  void aPromptLargerThanATierIsPrunedOnItsWayThere() {
    MemoryTier dram = tier("dram", MEMORY, 4);
    Encoding half = Encoding.RAW.keeping(DropMethod.STREAMING_LLM, 50);
    KvCache cache = openStill(LruPlacement.withEncodings(half, half), dram, tier("ssd", DISK, 10));
    assertEquals(Status.RESERVED, prompt(1, 6).store(cache));
    background.runAll();
    assertEquals(6, dram.usage().entries());
  }

  /**
   * Goal: what is stored where is asked under the lock only, since others change it meanwhile. Method: a segment that,
   * when asked, sees whether another thread gets the lock.
   */
  @Test
  void segmentsAreAskedUnderTheLockOnly() {
    List<Boolean> unlocked = new ArrayList<>();
    KvCache[] cache = new KvCache[1];
    Scripted policy = new Scripted();
    cache[0] = openStill(policy, tier("dram", MEMORY, 2));
    prompt(1, 2).store(cache[0]);
    SegmentView stored = policy.segments.iterator().next();
    SegmentView watched = (SegmentView) Proxy.newProxyInstance(SegmentView.class.getClassLoader(),
        new Class<?>[] {SegmentView.class}, (self, method, arguments) -> {
          if (method.getName().equals("chunksOnlyIn")) {
            unlocked.add(isDone(elsewhere(() -> cache[0].stats())));
          }
          return method.invoke(stored, arguments);
        });
    policy.planned = List.of(new Move.Transfer(watched, 0, new Placement(0, Encoding.RAW), true));
    try (KvReservation none = prompt(2, 1).reserve(cache[0])) {
      assertEquals(Status.FULL, none.status());
    }
    policy.planned = List.of();
    assertFalse(unlocked.contains(true));
  }

  private static boolean isDone(CompletableFuture<?> step) {
    try {
      step.get(1, TimeUnit.SECONDS);
      return true;
    } catch (TimeoutException waits) {
      return false;
    } catch (InterruptedException | ExecutionException e) {
      throw new AssertionError(e);
    }
  }
}
