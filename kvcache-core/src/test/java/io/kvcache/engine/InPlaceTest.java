package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.CacheEvent.Reencoded;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvCache;
import io.kvcache.KvLease;
import io.kvcache.KvLease.Run;
import io.kvcache.KvReservation;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.FaultyTier;
import io.kvcache.testkit.FaultyTier.Fault;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.ForwardingWrite;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TrailingZerosCompressor;
import io.kvcache.testkit.TruncatingCompressor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Test;

/** Chunks that are encoded anew in the tier they are in. */
class InPlaceTest extends EngineTest {
  private static final Encoding FOUR_BITS = Encoding.of(TruncatingCompressor.CODEC);
  private static final Encoding TWO_BITS = Encoding.of(TruncatingCompressor.COARSE_CODEC);
  private static final Encoding LOSSLESS = Encoding.of(TrailingZerosCompressor.CODEC);
  private static final AcquireOptions ANY = AcquireOptions.any().acceptingPruned();

  private final Scripted policy = new Scripted();

  private KvCache cacheOn(Tier... tiers) {
    return open(builder(policy, still(clock), tiers).compressors(TruncatingCompressor.coarse()));
  }

  private void reencode(KvCache cache, TestPrompt prompt, int tier, Encoding as) {
    policy.reencode(tier, as, false);
    cache.prefetch(NAMESPACE, prompt.tokens());
    background.runAll();
  }

  private static List<String> codecs(KvCache cache, TestPrompt prompt) {
    try (KvLease lease = prompt.acquire(cache, ANY)) {
      return lease.runs().stream().map(Run::codec).toList();
    }
  }

  /** Not even the room of one more chunk is free, and all that is there is encoded anew. */
  private void fillAndReencode(KvCache cache, MemoryTier only) {
    TestPrompt prompt = prompt(1, 32);
    prompt.store(cache);
    assertEquals(only.usage().capacityBytes(), only.usage().usedBytes());
    reencode(cache, prompt, 0, FOUR_BITS);
    assertEquals(32, prompt.find(cache, ANY), "nothing is lost");
    assertEquals(List.of("truncating"), codecs(cache, prompt));
  }

  @Test
  void makesRoomInAFullMemoryTier() {
    MemoryTier dram = tier("dram", MEMORY, 32);
    KvCache cache = cacheOn(dram);
    fillAndReencode(cache, dram);
    assertEquals(32, events(Reencoded.class).stream().mapToInt(Reencoded::chunks).sum());
    assertTrue(dram.usage().usedBytes() < dram.usage().capacityBytes() * 3 / 4);
    prompt(2, 1).store(cache);
    assertEquals(1, prompt(2, 1).find(cache), "there is room for another one");
  }

  /** A volatile tier that is read into buffers: what holds one must not wait for another. */
  @Test
  void makesRoomInAFullTierOfBuffers() {
    KvCache cache = cacheOn(tier("buffered", Set.of(), 3));
    prompt(1, 3).store(cache);
    reencode(cache, prompt(1, 3), 0, FOUR_BITS);
    assertEquals(3, prompt(1, 3).find(cache, ANY));
    assertEquals(List.of("truncating"), codecs(cache, prompt(1, 3)));
  }

  /** There the copy comes first where it can; where it cannot, the tier must not seize up. */
  @Test
  void makesRoomInAFullDurableTier() {
    MemoryTier ssd = tier("ssd", DISK, 32);
    KvCache cache = cacheOn(ssd);
    fillAndReencode(cache, ssd);
    assertEquals(0, cache.stats().tiers().getFirst().evictedChunks());
  }

  /** Goal: the room a chunk leaves is not lost to one who waits for some, and with it the chunk. */
  @Test
  void roomIsNotTakenInTheMiddleOfAnExchange() throws Exception {
    for (Set<TierTrait> traits : List.of(MEMORY, DISK)) {
      List<Future<KvReservation>> waiters = new ArrayList<>();
      List<Runnable> afterRemoval = new ArrayList<>();
      KvCache cache = cacheOn(new ForwardingTier(tier("tier", traits, 3)) {
        @Override
        public int remove(Collection<EntryId> ids) throws IOException {
          int removed = super.remove(ids);
          afterRemoval.forEach(Runnable::run);
          return removed;
        }
      });
      prompt(1, 3).store(cache);
      afterRemoval.add(() -> waiters.add(reserveElsewhere(cache, prompt(2 + waiters.size(), 1))));
      reencode(cache, prompt(1, 3), 0, FOUR_BITS);
      assertEquals(3, prompt(1, 3).find(cache, ANY));
      assertEquals(3, waiters.size());
      for (Future<KvReservation> waiter : waiters) {
        waiter.get().close();
      }
      close();
    }
  }

  /** Tries to get room, until that is done or has to wait for something. */
  private static Future<KvReservation> reserveElsewhere(KvCache cache, TestPrompt prompt) {
    FutureTask<KvReservation> task = new FutureTask<>(() -> prompt.reserve(cache));
    startedElsewhere(task);
    return task;
  }

  /** Runs something on a thread of its own, until it is done or has to wait for something. */
  private static Thread startedElsewhere(Runnable task) {
    Thread thread = Thread.ofPlatform().daemon().start(task);
    while (thread.getState() != Thread.State.WAITING && thread.getState() != Thread.State.TERMINATED) {
      Thread.onSpinWait();
    }
    return thread;
  }

  @Test
  void leasedChunksAreLeftAlone() {
    for (Set<TierTrait> traits : List.of(MEMORY, DISK)) {
      KvCache cache = cacheOn(tier("tier", traits, 6));
      TestPrompt prompt = prompt(1, 3);
      prompt.store(cache);
      try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
        reencode(cache, prompt, 0, LOSSLESS);
        assertEquals(3 * CHUNK_TOKENS, prompt.read(lease), "what is leased stays as it is");
      }
      assertEquals(List.of("raw"), codecs(cache, prompt));
      reencode(cache, prompt, 0, LOSSLESS);
      assertEquals(List.of("trailing-zeros"), codecs(cache, prompt));
      assertEquals(3, prompt.find(cache));
      assertEquals(0, cache.stats().tiers().getFirst().corruptChunks());
      close();
      policy.segments.clear();
    }
  }

  @Test
  void lossyChunksAreEncodedMoreLossilyButNotBack() {
    for (Set<TierTrait> traits : List.of(MEMORY, DISK)) {
      KvCache cache = cacheOn(tier("tier", traits, 8));
      TestPrompt prompt = prompt(1, 3);
      prompt.store(cache);
      reencode(cache, prompt, 0, FOUR_BITS);
      reencode(cache, prompt, 0, TWO_BITS);
      assertEquals(List.of("coarse"), codecs(cache, prompt));
      assertEquals(3, prompt.find(cache, ANY));
      reencode(cache, prompt, 0, FOUR_BITS);
      reencode(cache, prompt, 0, LOSSLESS);
      assertEquals(List.of("coarse"), codecs(cache, prompt));
      assertEquals(3, cache.stats().tiers().getFirst().entries());
      close();
    }
  }

  @Test
  void keepsTheExactChunksBesideTheLossyOnesWhenAsked() {
    for (Set<TierTrait> traits : List.of(MEMORY, DISK)) {
      KvCache cache = cacheOn(tier("tier", traits, 8));
      TestPrompt prompt = prompt(1, 2);
      prompt.store(cache);
      policy.reencode(0, FOUR_BITS, true);
      cache.prefetch(NAMESPACE, prompt.tokens());
      background.runAll();
      assertEquals(2, prompt.find(cache), "the source was to be kept");
      assertEquals(4, cache.stats().tiers().getFirst().entries());
      close();
    }
  }

  /** Half-way through, some chunks of the segment are pruned and some are exact: a second attempt does the rest. */
  @Test
  void segmentsPrunedInPartAreFinished() {
    Encoding half = Encoding.RAW.keeping(DropMethod.KNORM, 50);
    Encoding rounded = FOUR_BITS.keeping(DropMethod.KNORM, 50);
    Fuse ssd = new Fuse(tier("ssd", DISK, 80));
    KvCache cache = cacheOn(ssd);
    TestPrompt prompt = prompt(1, 3);
    prompt.store(cache);
    ssd.claims = 1;
    reencode(cache, prompt, 0, half);
    ssd.claims = Integer.MAX_VALUE;
    assertEquals(1, codecs(cache, prompt).stream().filter("knorm-50"::equals).count());
    reencode(cache, prompt, 0, rounded);
    assertEquals(List.of("knorm-50+truncating"), codecs(cache, prompt));
    assertEquals(3, prompt.find(cache, ANY));
  }

  /** What was to be replaced, and is known to nobody any more, must not come back after a removal and a restart. */
  @Test
  void failedReplacementsLeaveNothingBehind() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 8);
    FaultyTier faulty = new FaultyTier(ssd, 3);
    KvCache cache = cacheOn(faulty);
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    cache.flush();
    faulty.set(Fault.COMMIT_FAILS, 1);
    reencode(cache, prompt, 0, LOSSLESS);
    faulty.set(Fault.COMMIT_FAILS, 0);
    cache.remove(NAMESPACE, prompt.tokens());
    assertEquals(0, ssd.usage().entries());
    close(ssd);
    assertEquals(0, prompt.find(cacheOn(checked(ssd.reopen())), ANY));
  }

  /** The power fails at every call in turn while flushed chunks are encoded anew: all are found, in some encoding. */
  @Test
  void flushedChunksSurviveACrashAtAnyCall() throws Exception {
    List<Encoding> targets = List.of(LOSSLESS, FOUR_BITS, Encoding.RAW.keeping(DropMethod.KEYDIFF, 50));
    for (Encoding target : targets) {
      boolean finished = false;
      for (int calls = 0; !finished; calls++) {
        MemoryTier ssd = new MemoryTier("ssd", 20 * CHUNK_ROOM, DISK);
        Fuse fuse = new Fuse(ssd);
        TestPrompt prompt = prompt(1, 3);
        KvCache cache = cacheOn(fuse);
        prompt.store(cache);
        cache.flush();
        fuse.left = calls;
        try {
          reencode(cache, prompt, 0, target);
          finished = true;
        } catch (Blown blown) {
          assertTrue(calls < 200);
        }
        MemoryTier left = ssd.crash();
        abandon();
        policy.onHit = segment -> null;
        KvCache again = cacheOn(left);
        assertEquals(3, prompt.find(again, ANY), target + " after " + calls + " calls");
        close(left);
      }
    }
  }

  /** Goal: what a flush writes of an entry is of the entry that is there then, not of the one it takes the place of. */
  @Test
  void flushedChunksThatAreReplacedMeanwhileSurvive() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 8);
    List<Runnable> beforeNotes = new ArrayList<>();
    KvCache cache = cacheOn(new ForwardingTier(ssd) {
      @Override
      public void annotate(Map<EntryId, byte[]> notes) throws IOException {
        beforeNotes.forEach(Runnable::run);
        super.annotate(notes);
      }
    });
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    List<Thread> movers = new ArrayList<>();
    beforeNotes.add(() -> movers.add(startedElsewhere(() -> reencode(cache, prompt, 0, LOSSLESS))));
    cache.flush();
    movers.getFirst().join();
    assertEquals(List.of("trailing-zeros"), codecs(cache, prompt));
    close(ssd);
    assertEquals(2, prompt.find(cacheOn(checked(ssd.reopen()))));
  }

  private static final class Blown extends Error {
    private static final long serialVersionUID = 1;
  }

  /** Lets so many calls pass and none after. */
  private static final class Fuse extends ForwardingTier {
    private int left = Integer.MAX_VALUE;
    private int claims = Integer.MAX_VALUE;

    Fuse(Tier inner) {
      super(inner);
    }

    private void pass() {
      if (left-- <= 0) {
        left = 0;
        throw new Blown();
      }
    }

    @Override
    public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes) throws IOException {
      pass();
      if (claims-- <= 0) {
        throw new IOException("no more claims");
      }
      return super.create(id, note, partBytes).map(write -> new ForwardingWrite(write) {
        @Override
        public void commit(long[] bytes) throws IOException {
          pass();
          super.commit(bytes);
        }
      });
    }

    @Override
    public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
      pass();
      return super.read(id, part, target, deadline);
    }

    @Override
    public int remove(Collection<EntryId> ids) throws IOException {
      pass();
      return super.remove(ids);
    }
  }
}
