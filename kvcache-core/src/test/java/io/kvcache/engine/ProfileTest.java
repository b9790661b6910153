package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvCache;
import io.kvcache.KvControl.Profiling;
import io.kvcache.KvLease;
import io.kvcache.KvLease.KvKept;
import io.kvcache.KvReservation.Status;
import io.kvcache.Namespace;
import io.kvcache.QualityProbe;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.SegmentView;
import io.kvcache.spi.Tier;
import io.kvcache.testkit.FaultyTier;
import io.kvcache.testkit.FaultyTier.Fault;
import io.kvcache.testkit.LeakCheck;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TrailingZerosCompressor;
import io.kvcache.testkit.TruncatingCompressor;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

/** What is measured of segments: by a probe or without, kept, given up, measured again, and what it decides. */
class ProfileTest extends EngineTest {
  private static final Encoding LOSSY = Encoding.of(TruncatingCompressor.CODEC);
  private static final Encoding PRUNED = Encoding.RAW.keeping(DropMethod.KNORM, 50);
  private static final AcquireOptions ANY = AcquireOptions.any().acceptingPruned();
  private static final Duration LONG = Duration.ofHours(1);

  private final Scripted policy = new Scripted(LOSSY, PRUNED);

  private KvCache cacheOn(QualityProbe probe, Tier... tiers) {
    return open(builder(policy, still(clock), tiers).probe(probe, Duration.ofSeconds(20)));
  }

  private static QualityProbe always(double quality) {
    return (context, exact, lossy) -> OptionalDouble.of(quality);
  }

  private void reencode(KvCache cache, TestPrompt prompt, Encoding as) {
    policy.reencode(0, as, false);
    cache.prefetch(NAMESPACE, prompt.tokens());
    background.runAll();
    policy.onHit = segment -> null;
  }

  private List<Double> qualities(int candidate) {
    return policy.segments.stream().map(segment -> segment.quality(candidate)).sorted().toList();
  }

  @Test
  void aBudgetStopsBetweenCallsAndTheNextGoesOn() {
    List<Encoding> asked = new ArrayList<>();
    KvCache cache = cacheOn((context, exact, lossy) -> {
      asked.add(lossy.fidelity().equals(new io.kvcache.Fidelity.Quantized(4)) ? LOSSY : PRUNED);
      clock.advance(1000);
      return OptionalDouble.of(0.75);
    }, tier("dram", MEMORY, 80));
    prompt(1, 3).store(cache);
    assertEquals(new Profiling(0, 1), cache.control().profile(Duration.ofNanos(900)));
    assertEquals(List.of(LOSSY), asked);
    assertTrue(qualities(0).getFirst().isNaN(), "nothing is known before all is");
    assertEquals(new Profiling(1, 0), cache.control().profile(Duration.ofNanos(900)));
    assertEquals(List.of(LOSSY, PRUNED), asked);
    assertEquals(0.75, qualities(1).getFirst(), 1e-6);
    assertEquals(1, cache.stats().profiledSegments());
    assertEquals(new Profiling(0, 0), cache.control().profile(LONG));
  }

  /** The context branches while its segment is being measured: both parts are measured then. */
  @Test
  void segmentsThatSplitMeanwhileAreMeasuredAfterAll() {
    KvCache cache = cacheOn((context, exact, lossy) -> {
      clock.advance(1000);
      return OptionalDouble.of(0.5);
    }, tier("dram", MEMORY, 80));
    TestPrompt trunk = prompt(1, 2);
    trunk.then(2, 2).store(cache);
    cache.control().profile(Duration.ofNanos(900));
    trunk.then(3, 2).store(cache);
    assertEquals(new Profiling(3, 0), cache.control().profile(LONG));
    assertTrue(policy.segments.stream().noneMatch(segment -> Double.isNaN(segment.quality(0))));
  }

  /** Goal: a probe, whose engine may know no other form, is shown no tokens dropped but as the candidates do. */
  @Test
  void probesAreShownNoOtherFormOfPruning() throws Exception {
    for (boolean uniform : new boolean[] {false, true}) {
      Encoding before = uniform ? Encoding.RAW.keepingUniformly(DropMethod.KNORM, 50) : PRUNED;
      MemoryTier ssd = tier("ssd", DISK, 80);
      Scripted first = new Scripted(before);
      KvCache cache = open(builder(first, still(clock), ssd));
      TestPrompt trunk = prompt(1, 2);
      trunk.store(cache);
      first.reencode(0, before, false);
      cache.prefetch(NAMESPACE, trunk.tokens());
      background.runAll();
      cache.flush();
      close(ssd);
      List<String> shown = new ArrayList<>();
      Scripted second = new Scripted(Encoding.RAW.keepingUniformly(DropMethod.KEYDIFF, 50));
      MemoryTier again = checked(ssd.reopen());
      cache = open(builder(second, still(clock), again).probe((context, exact, lossy) -> {
        shown.addAll(lossy.runs().stream().map(KvLease.Run::codec).toList());
        return OptionalDouble.of(0.5);
      }, Duration.ofSeconds(20)));
      TestPrompt longer = trunk.then(2, 2);
      longer.store(cache);
      assertEquals(4, longer.find(cache, ANY));
      assertEquals(uniform ? new Profiling(1, 0) : new Profiling(0, 1), cache.control().profile(LONG));
      assertEquals(uniform ? List.of("uniform-knorm-50", "uniform-keydiff-50") : List.of(), shown);
      close(again);
    }
  }

  @Test
  void aSplitDividesWhatIsLost() {
    KvCache cache = cacheOn(always(0.6), tier("dram", MEMORY, 80));
    TestPrompt trunk = prompt(1, 1);
    trunk.then(2, 3).store(cache);
    cache.control().profile(LONG);
    trunk.then(3, 1).store(cache);
    double lost = policy.segments.stream().filter(segment -> !Double.isNaN(segment.quality(0)))
        .mapToDouble(segment -> 1 - segment.quality(0)).sum();
    assertEquals(0.4, lost, 1e-6);
    assertEquals(List.of(0.7, 0.9), qualities(0).stream().filter(quality -> !quality.isNaN())
        .map(quality -> Math.round(quality * 1e5) / 1e5).toList());
  }

  @Test
  void profilesAndUsesSurviveARestartAndOthersCandidatesDoNot() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 80);
    KvCache cache = cacheOn(always(0.5), tier("dram", MEMORY, 80), ssd);
    prompt(1, 3).store(cache);
    prompt(1, 3).find(cache);
    cache.control().profile(LONG);
    cache.flush();
    close(ssd);
    policy.segments.clear();
    MemoryTier second = checked(ssd.reopen());
    KvCache again = cacheOn(always(0.1), second);
    assertEquals(new Profiling(0, 0), again.control().profile(LONG));
    SegmentView segment = policy.segments.iterator().next();
    assertEquals(0.5, segment.quality(0), 1e-5);
    assertEquals(2, segment.uses());
    close(second);
    Scripted other = new Scripted(PRUNED);
    KvCache third = open(builder(other, still(clock), checked(second.reopen())).probe(always(0.3), LONG));
    assertTrue(Double.isNaN(other.segments.iterator().next().quality(0)));
    assertEquals(new Profiling(1, 0), third.control().profile(LONG));
  }

  /** Seven chunks of which each is all there is to lose, measured apart and found again as one segment. */
  @Test
  void lossesThatAreMergedStayReadable() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 90);
    KvCache cache = cacheOn(always(0), tier("dram", MEMORY, 8), ssd);
    prompt(1, 7).store(cache);
    cache.control().profile(LONG);
    cache.flush();
    close(ssd);
    for (int restart = 0; restart < 3; restart++) {
      ssd = checked(ssd.reopen());
      KvCache again = cacheOn(always(0), ssd);
      assertEquals(7, prompt(1, 7).find(again), "restart " + restart);
      again.flush();
      close(ssd);
    }
  }

  /** Losses of the segments of a path add up; where there is too much of it the path ends. */
  @Test
  void aPathIsCutWhereItHasLostTooMuch() {
    KvCache cache = cacheOn(always(0.7), tier("dram", MEMORY, 8));
    TestPrompt prompt = prompt(1, 3);
    prompt.store(cache);
    assertEquals(3, policy.segments.size(), "a segment for each chunk");
    cache.control().profile(LONG);
    reencode(cache, prompt, LOSSY);
    assertEquals(3, prompt.find(cache, AcquireOptions.any()));
    assertEquals(2, prompt.find(cache, AcquireOptions.atLeast(0.3)));
    assertEquals(2, prompt.find(cache, AcquireOptions.atLeast(0.4)));
    assertEquals(1, prompt.find(cache, AcquireOptions.atLeast(0.41)));
    assertEquals(1, prompt.find(cache, AcquireOptions.atLeast(0.7)), "just what was measured");
    assertEquals(0, prompt.find(cache, AcquireOptions.atLeast(0.75)), "though the codec usually is better");
    assertEquals(Status.STORED, prompt.store(cache));
  }

  @Test
  void whoAcceptsAnythingFindsWhatIsWorthNothing() {
    KvCache cache = cacheOn(always(0), tier("dram", MEMORY, 80));
    TestPrompt prompt = prompt(1, 3).then(2, 3);
    prompt.start(3).store(cache);
    prompt.store(cache);
    cache.control().profile(LONG);
    reencode(cache, prompt, LOSSY);
    assertEquals(6, prompt.find(cache, AcquireOptions.any()));
    assertEquals(Status.STORED, prompt.store(cache));
    assertTrue(prompt.find(cache, AcquireOptions.atLeast(0.01)) < 6, () -> qualities(0).toString());
  }

  @Test
  void whatIsMeasuredAsBetterThanUsualIsFound() {
    KvCache cache = cacheOn(always(0.95), tier("dram", MEMORY, 80));
    TestPrompt prompt = prompt(1, 3);
    prompt.store(cache);
    cache.control().profile(LONG);
    reencode(cache, prompt, LOSSY);
    assertEquals(3, prompt.find(cache, AcquireOptions.atLeast(0.95)));
    assertEquals(2, prompt.find(cache, AcquireOptions.atLeast(0.96)), "what is lost is lost chunk by chunk");
  }

  @Test
  void aProbeThatFailsIsNotAskedAgainAboutItsNamespaceButAboutOthers() {
    List<QualityProbe> failing = List.of(always(Double.NaN), always(-0.1), always(1.1),
        (context, exact, lossy) -> null,
        (context, exact, lossy) -> {
          throw new IllegalStateException("no answer");
        });
    Namespace other = Namespace.of("another model", LAYOUT);
    for (QualityProbe bad : failing) {
      policy.segments.clear();
      AtomicInteger calls = new AtomicInteger();
      TestPrompt good = TestPrompt.of(other, 1, 2);
      KvCache cache = cacheOn((context, exact, lossy) -> {
        calls.incrementAndGet();
        return context.equals(good.keys().getLast()) ? OptionalDouble.of(0.25)
            : bad.quality(context, exact, lossy);
      }, tier("dram", MEMORY, 80));
      prompt(1, 2).store(cache);
      prompt(2, 2).store(cache);
      good.store(cache);
      assertEquals(new Profiling(3, 0), cache.control().profile(LONG));
      assertEquals(1 + 2, calls.get(), "one failure, and both candidates of the other namespace");
      assertEquals(1, cache.stats().probeFailures());
      assertEquals(3, cache.stats().profiledSegments());
      long measured =
          policy.segments.stream().filter(segment -> Math.abs(segment.quality(0) - 0.25) < 1e-6).count();
      assertEquals(1, measured, "the others are estimated");
      close();
    }
  }

  @Test
  void aProbeThatHangsIsGivenUpAndWhatItHoldsGivesMisses() throws Exception {
    CountDownLatch release = new CountDownLatch(1);
    CountDownLatch over = new CountDownLatch(1);
    AtomicReference<List<Object>> seen = new AtomicReference<>();
    KvCache cache =
        open(builder(policy, still(clock), tier("dram", MEMORY, 80)).probe((context, exact, lossy) -> {
          KvLease.Run run = lossy.runs().getFirst();
          KvLease.Run asIs = exact.runs().getFirst();
          boolean interrupted = false;
          while (release.getCount() > 0) {
            try {
              release.await();
            } catch (InterruptedException e) {
              interrupted = true;
            }
          }
          MemorySegment none = MemorySegment.ofArray(new byte[0]);
          seen.set(List.of(interrupted, exact.tokens(), lossy.tokens(), exact.read(0, none, none),
              lossy.read(0, none, none),
              lossy.runs().size(), lossy.kept(run, 0).tokens(), exact.kept(asIs, 0).tokens()));
          over.countDown();
          return OptionalDouble.of(1);
        }, Duration.ofMillis(20)));
    prompt(1, 2).store(cache);
    assertEquals(new Profiling(1, 0), cache.control().profile(LONG));
    assertEquals(1, cache.stats().probeFailures());
    assertEquals(0, cache.stats().openLeases());
    cache.remove(NAMESPACE, prompt(1, 2).tokens());
    release.countDown();
    over.await();
    assertEquals(List.of(true, 0, 0, 0, 0, 0, 0, 0), seen.get());
  }

  @Test
  void whatFallsShortOfTheMeasuredIsMeasuredAgainFirst() {
    List<ChunkKey> asked = new ArrayList<>();
    KvCache cache = open(builder(policy, still(clock), tier("dram", MEMORY, 80), tier("ssd", DISK, 80))
        .reprofileBelow(0.2).probe((context, exact, lossy) -> {
          asked.add(context);
          return OptionalDouble.of(0.8);
        }, LONG));
    TestPrompt first = prompt(1, 2);
    first.store(cache);
    cache.control().profile(LONG);
    cache.control().reportQuality(NAMESPACE, first.tokens(), 0.1);
    assertEquals(new Profiling(0, 0), cache.control().profile(LONG), "the exact entry is what is read");
    policy.onHit = segment -> new Move.Transfer(segment, 0, new Placement(1, Encoding.RAW), true);
    cache.prefetch(NAMESPACE, first.tokens());
    background.runAll();
    reencode(cache, first, LOSSY);
    TestPrompt second = prompt(2, 2);
    second.store(cache);
    asked.clear();
    cache.control().reportQuality(NAMESPACE, first.tokens(), 0.61);
    assertEquals(new Profiling(1, 0), cache.control().profile(LONG), "within the threshold");
    ChunkKey secondKey = second.keys().getLast();
    assertEquals(List.of(secondKey, secondKey), asked, "both candidates of what was new");
    asked.clear();
    TestPrompt third = prompt(3, 2);
    third.store(cache);
    cache.control().reportQuality(NAMESPACE, first.tokens(), 0.5);
    assertEquals(new Profiling(2, 0), cache.control().profile(LONG));
    ChunkKey firstKey = first.keys().getLast();
    ChunkKey thirdKey = third.keys().getLast();
    assertEquals(List.of(firstKey, firstKey, thirdKey, thirdKey), asked, "what fell short comes first");
    for (double bad : new double[] {Double.NaN, -0.1, 1.1}) {
      assertThrows(IllegalArgumentException.class,
          () -> cache.control().reportQuality(NAMESPACE, first.tokens(), bad));
    }
  }

  /** What the probe reads is what a cache that stored it so gives. */
  @Test
  void theProbeReadsWhatStoringWouldGive() {
    TestPrompt prompt = prompt(1, 1).then(2, 3);
    for (Encoding encoding : List.of(LOSSY, PRUNED, LOSSY.keeping(DropMethod.KEYDIFF, 30))) {
      Scripted storing = new Scripted();
      KvCache stored = openStill(storing, tier("stored", MEMORY, 80));
      prompt.store(stored);
      storing.reencode(0, encoding, false);
      stored.prefetch(NAMESPACE, prompt.tokens());
      background.runAll();
      List<byte[]> expected = new ArrayList<>();
      try (KvLease lease = prompt.acquire(stored, ANY)) {
        assertFalse(lease.fidelity().exact());
        expected.addAll(bytes(lease));
      }
      close();
      List<byte[]> found = new ArrayList<>();
      KvCache cache = open(builder(new Scripted(encoding), still(clock), tier("dram", MEMORY, 80))
          .probe((context, exact, lossy) -> {
            found.addAll(bytes(lossy));
            assertEquals(prompt.length(), prompt.read(exact));
            assertEquals(prompt.length(), prompt.read(lossy));
            return OptionalDouble.of(0.5);
          }, LONG));
      prompt.store(cache);
      assertEquals(new Profiling(1, 0), cache.control().profile(LONG));
      assertEquals(0, cache.stats().probeFailures());
      assertEquals(expected.size(), found.size());
      for (int index = 0; index < found.size(); index++) {
        assertTrue(Arrays.equals(expected.get(index), found.get(index)), encoding + " " + index);
      }
      close();
    }
  }

  private static List<byte[]> bytes(KvLease lease) {
    List<byte[]> all = new ArrayList<>();
    for (int layer = 0; layer < LAYOUT.layers().size(); layer++) {
      if (lease.runs().getFirst().fidelity() instanceof io.kvcache.Fidelity.Pruned) {
        KvKept kept = lease.kept(lease.runs().getFirst(), layer);
        all.add(kept.keys().toArray(java.lang.foreign.ValueLayout.JAVA_BYTE));
        all.add(kept.values().toArray(java.lang.foreign.ValueLayout.JAVA_BYTE));
        all.add(Arrays.deepToString(kept.positions()).getBytes(java.nio.charset.StandardCharsets.UTF_8));
      } else {
        byte[] keys = new byte[lease.tokens() * LAYOUT.layer(layer).keyRowBytes()];
        byte[] values = new byte[lease.tokens() * LAYOUT.layer(layer).valueRowBytes()];
        lease.read(layer, MemorySegment.ofArray(keys), MemorySegment.ofArray(values));
        all.add(keys);
        all.add(values);
      }
    }
    return all;
  }

  /** What cannot be read while it is measured is given up; nothing that was half read is taken for a quality. */
  @Test
  void damageFoundWhileMeasuringEndsIt() {
    FaultyTier ssd = new FaultyTier(tier("ssd", DISK, 80), 5);
    KvCache cache = open(builder(policy, still(clock), ssd));
    prompt(1, 3).store(cache);
    ssd.set(Fault.READ_FLIPS, 1);
    assertEquals(new Profiling(0, 0), cache.control().profile(LONG));
    assertEquals(0, cache.stats().openLeases());
    LeakCheck.await("buffers", () -> cache.stats().readBuffers() == 0);
    ssd.set(Fault.READ_FLIPS, 0);
    prompt(2, 2).store(cache);
    assertEquals(1, cache.control().profile(LONG).profiledSegments(), "the next one is measured");
  }

  /** A cache that lacks a compressor measures nothing that is encoded by it, and leaves it alone. */
  @Test
  void chunksInAnUnknownCodecAreLeftAlone() throws Exception {
    MemoryTier ssd = tier("ssd", DISK, 80);
    KvCache cache = cacheOn(always(1), ssd);
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    reencode(cache, prompt, Encoding.of(TrailingZerosCompressor.CODEC));
    cache.flush();
    close(ssd);
    MemoryTier second = checked(ssd.reopen());
    KvCache without =
        open(KvCache.builder(LAYOUT).tier(second).policy(new Scripted(PRUNED)).runtime(still(clock)));
    assertEquals(new Profiling(0, 0), without.control().profile(LONG));
    assertEquals(0, without.stats().tiers().getFirst().corruptChunks());
    close(second);
    assertEquals(2, prompt.find(cacheOn(always(1), checked(second.reopen()))));
  }

  /** Something goes on behind the segment that is not stored: the lease lets go of what it held. */
  @Test
  void aContextWithAHoleBehindTheSegmentIsReleased() {
    KvCache cache = cacheOn(always(0.5), tier("dram", MEMORY, 8));
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    try (KvLease lease = prompt.acquire(cache, AcquireOptions.exact())) {
      assertEquals(2 * CHUNK_TOKENS, lease.tokens());
    }
    assertEquals(2, cache.control().profile(LONG).profiledSegments());
    assertTrue(policy.segments.stream().noneMatch(SegmentView::busy));
  }
}
