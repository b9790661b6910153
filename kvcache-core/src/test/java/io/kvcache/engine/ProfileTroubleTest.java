package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvCache;
import io.kvcache.KvControl.Profiling;
import io.kvcache.KvShape;
import io.kvcache.QualityProbe;
import io.kvcache.internal.frame.EntryNote;
import io.kvcache.spi.CacheRuntime;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.SegmentView;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierEntry;
import io.kvcache.testkit.BlockingTier;
import io.kvcache.testkit.FaultyTier;
import io.kvcache.testkit.FaultyTier.Fault;
import io.kvcache.testkit.ForwardingCompressor;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TruncatingCompressor;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** Measuring segments when something gets in the way: interrupts, bad compressors, media, and other threads. */
class ProfileTroubleTest extends EngineTest {
  private static final int CODEC = 60_020;
  private static final Encoding ODD = Encoding.of(CODEC);
  private static final Encoding LOSSY = Encoding.of(TruncatingCompressor.CODEC);
  private static final Encoding PRUNED = Encoding.RAW.keeping(DropMethod.KNORM, 50);
  /** Leaves everything to the estimate. */
  private static final QualityProbe UNASKED = (context, exact, lossy) -> OptionalDouble.empty();
  private static final Duration LONG = Duration.ofHours(1);

  /** Truncates, counting calls, or throws. */
  private static final class OddCompressor extends ForwardingCompressor {
    private final AtomicInteger calls = new AtomicInteger();
    private volatile boolean fails;

    OddCompressor() {
      super(new TruncatingCompressor());
    }

    @Override
    public int codec() {
      return CODEC;
    }

    @Override
    public String name() {
      return "odd";
    }

    @Override
    public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
      calls.incrementAndGet();
      if (fails) {
        throw new IllegalStateException("cannot compress");
      }
      return super.compress(shape, source, target);
    }
  }

  private final OddCompressor odd = new OddCompressor();

  private KvCache cacheOn(Scripted policy, QualityProbe probe, Tier... tiers) {
    return open(builder(policy, still(clock), tiers).compressors(odd).probe(probe, Duration.ofSeconds(20)));
  }

  private static double quality(Scripted policy, int candidate) {
    return policy.segments.iterator().next().quality(candidate);
  }

  @Test
  void anEstimateEncodesEachHalfOnceHoweverManyHeadsItHas() {
    Scripted policy = new Scripted(ODD);
    KvCache cache = cacheOn(policy, UNASKED, tier("dram", MEMORY, 80));
    prompt(1, 2).store(cache);
    odd.calls.set(0);
    assertEquals(new Profiling(1, 0), cache.control().profile(LONG));
    assertEquals(2 * (1 + 2), odd.calls.get(),
        "of both chunks the keys of one layer, both halves of another");
  }

  @Test
  void aSegmentThatGrowsIsUnknownUntilMeasuredAsAWhole() {
    Scripted policy = new Scripted(LOSSY);
    double[] answer = {0.4};
    KvCache cache =
        cacheOn(policy, (context, exact, lossy) -> OptionalDouble.of(answer[0]), tier("dram", MEMORY, 80));
    TestPrompt start = prompt(1, 1);
    start.store(cache);
    cache.control().profile(LONG);
    assertEquals(0.4, quality(policy, 0), 1e-6);
    answer[0] = 0.7;
    start.then(2, 2).store(cache);
    assertEquals(1, policy.segments.size(), "the leaf was extended");
    assertTrue(Double.isNaN(quality(policy, 0)), "nothing is known of the whole: " + quality(policy, 0));
    assertEquals(new Profiling(1, 0), cache.control().profile(LONG));
    assertEquals(0.7, quality(policy, 0), 1e-6);
  }

  @Test
  void aSegmentThatGrowsWhileItIsMeasuredIsLetGoOf() {
    Scripted policy = new Scripted(LOSSY, PRUNED);
    KvCache cache = cacheOn(policy, (context, exact, lossy) -> {
      clock.advance(1000);
      return OptionalDouble.of(0.5);
    }, tier("dram", MEMORY, 80));
    TestPrompt start = prompt(1, 1);
    start.store(cache);
    assertEquals(new Profiling(0, 1), cache.control().profile(Duration.ofNanos(900)));
    start.then(2, 2).store(cache);
    assertEquals(new Profiling(1, 0), cache.control().profile(LONG));
    assertEquals(0.5, quality(policy, 0), 1e-6);
    assertTrue(policy.segments.stream().noneMatch(SegmentView::busy));
  }

  @Test
  void anInterruptEndsMeasuringAndSaysNothingOfTheProbe() {
    Scripted policy = new Scripted(LOSSY);
    Thread caller = Thread.currentThread();
    AtomicInteger calls = new AtomicInteger();
    KvCache cache = cacheOn(policy, (context, exact, lossy) -> {
      if (calls.incrementAndGet() == 1) {
        caller.interrupt();
        new CountDownLatch(1).await();
      }
      return OptionalDouble.of(0.25);
    }, tier("dram", MEMORY, 80));
    prompt(1, 2).store(cache);
    Profiling done = cache.control().profile(LONG);
    assertTrue(Thread.interrupted(), "whoever interrupted wants it to be seen");
    assertEquals(new Profiling(0, 1), done);
    assertEquals(0, cache.stats().probeFailures());
    assertEquals(new Profiling(1, 0), cache.control().profile(LONG), "it goes on where it was");
    assertEquals(0.25, quality(policy, 0), 1e-6);
  }

  /** What the compressor does is not blamed on the probe, which goes on being asked. */
  @Test
  void aCompressorThatThrowsIsWorthNothingAndHarmsNobody() {
    odd.fails = true;
    TestPrompt prompt = prompt(1, 2);
    List<QualityProbe> probes = List.of(UNASKED, (context, exact, lossy) -> {
      assertEquals(prompt.length(), prompt.read(exact));
      byte[] rows = new byte[prompt.length() * LAYOUT.layer(0).keyRowBytes()];
      lossy.read(0, MemorySegment.ofArray(rows), MemorySegment.ofArray(rows.clone()));
      return OptionalDouble.of(0.5);
    });
    for (QualityProbe probe : probes) {
      Scripted policy = new Scripted(ODD, LOSSY);
      KvCache cache = cacheOn(policy, probe, tier("dram", MEMORY, 80));
      prompt.store(cache);
      assertEquals(new Profiling(1, 0), cache.control().profile(LONG));
      assertEquals(0, quality(policy, 0), 1e-6);
      assertTrue(probe == UNASKED || Math.abs(quality(policy, 1) - 0.5) < 1e-6,
          "asked about the next encoding");
      assertEquals(1, cache.stats().pluginFailures());
      close();
    }
  }

  /** Notes of chunks that are one segment now, of which some lack losses. */
  @Test
  void lossesThatDoNotFitTogetherAreUnknown() throws Exception {
    Scripted policy = new Scripted(LOSSY, PRUNED);
    QualityProbe half = (context, exact, lossy) -> OptionalDouble.of(0.5);
    MemoryTier ssd = tier("ssd", DISK, 80);
    KvCache cache = cacheOn(policy, half, ssd);
    prompt(1, 3).store(cache);
    cache.control().profile(LONG);
    cache.flush();
    close(ssd);
    for (int losses = 0; losses <= 3; losses++) {
      List<TierEntry> entries = new ArrayList<>();
      ssd = checked(ssd.reopen());
      ssd.inventory(entries::add);
      for (TierEntry entry : entries.subList(0, 1)) {
        EntryNote note = EntryNote.decode(entry.note());
        ssd.annotate(Map.of(entry.id(), withLosses(note, losses).encode()));
      }
      policy.segments.clear();
      KvCache again = cacheOn(policy, half, ssd);
      assertEquals(losses == 2 ? 0.5 : Double.NaN, quality(policy, 0), 1e-5, losses + " losses");
      assertEquals(losses == 2 ? 0 : 1, again.control().profile(LONG).profiledSegments());
      again.flush();
      close(ssd);
    }
  }

  private static EntryNote withLosses(EntryNote note, int count) {
    float[] losses = new float[count];
    Arrays.fill(losses, 0.5f / 3);
    return new EntryNote(note.root(), note.previous(), note.chunkIndex(), note.generation(), note.encoding(),
        note.bytes(), note.lastUseMillis(), note.frequency(), note.uses(), note.expiryMillis(),
        note.scored(),
        count == 0 ? EntryNote.Profile.NONE : new EntryNote.Profile(note.profile().candidates(), losses));
  }

  /** A tier hangs under the profiler; the mover has its own buffers and needs none of it. */
  @Test
  void theMoverNeverWaitsForTheProfiler() throws Exception {
    Scripted policy = new Scripted(PRUNED);
    BlockingTier hanging = new BlockingTier(tier("hanging", DISK, 80));
    KvCache cache = cacheOn(policy, UNASKED, hanging, tier("other", DISK, 80));
    TestPrompt moved = prompt(1, 2);
    moved.store(cache);
    policy.onHit = segment -> new Move.Transfer(segment, 0, new Placement(1, Encoding.RAW), false);
    cache.prefetch(NAMESPACE, moved.tokens());
    background.runAll();
    cache.control().profile(LONG);
    TestPrompt measured = prompt(2, 2);
    measured.store(cache);
    hanging.block();
    CompletableFuture<Profiling> profiling = elsewhere(() -> cache.control().profile(LONG));
    hanging.awaitCaller();
    CompletableFuture<Void> moving = elsewhere(() -> {
      policy.reencode(1, LOSSY, false);
      cache.prefetch(NAMESPACE, moved.tokens());
      background.runAll();
      return null;
    });
    try {
      moving.get(10, TimeUnit.SECONDS);
    } finally {
      hanging.release();
    }
    assertEquals(new Profiling(1, 0), profiling.get(10, TimeUnit.SECONDS));
    SegmentView first =
        policy.segments.stream().filter(segment -> segment.chunksIn(1) == 2).findFirst().get();
    assertEquals(LOSSY, first.variants().getFirst().encoding());
  }

  /** Goal: no file call is made on the thread of an engine, which may be a virtual one. */
  @Test
  void profilingReadsOnTheLibrarysThreads() {
    Set<Thread> readers = ConcurrentHashMap.newKeySet();
    ForwardingTier ssd = new ForwardingTier(tier("ssd", DISK, 80)) {
      @Override
      public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
        readers.add(Thread.currentThread());
        return super.read(id, part, target, deadline);
      }
    };
    CacheRuntime runtime = new CacheRuntime(clock, InstantSource.system(), new Random(1),
        task -> Thread.ofPlatform().daemon().start(task), background, Runnable::run, () -> {});
    KvCache cache = open(builder(new Scripted(PRUNED, LOSSY), runtime, ssd));
    prompt(1, 2).store(cache);
    assertEquals(new Profiling(1, 0), cache.control().profile(LONG));
    assertFalse(readers.isEmpty());
    assertFalse(readers.contains(Thread.currentThread()));
  }

  @Test
  void whatCannotBeReadIsTriedAFewTimesMore() {
    for (Encoding candidate : List.of(LOSSY, PRUNED)) {
      Scripted policy = new Scripted(candidate);
      FaultyTier ssd = new FaultyTier(tier("ssd", DISK, 80), 5);
      KvCache cache = cacheOn(policy, UNASKED, ssd);
      prompt(1, 2).store(cache);
      prompt(2, 2).store(cache);
      ssd.set(Fault.READ_FAILS, 1);
      assertEquals(new Profiling(0, 2), cache.control().profile(LONG));
      ssd.set(Fault.READ_FAILS, 0);
      clock.advance(Duration.ofHours(1).toNanos());
      assertEquals(new Profiling(2, 0), cache.control().profile(LONG), "measured with " + candidate);
      prompt(3, 2).store(cache);
      ssd.set(Fault.READ_FAILS, 1);
      for (int call = 0; call < 3; call++) {
        assertEquals(new Profiling(0, 1), cache.control().profile(LONG), "call " + call);
      }
      assertEquals(new Profiling(0, 0), cache.control().profile(LONG), "and then no more");
      ssd.set(Fault.READ_FAILS, 0);
      close();
    }
  }
}
