package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.AcquireOptions;
import io.kvcache.Encoding;
import io.kvcache.KvCache;
import io.kvcache.KvLease;
import io.kvcache.KvShape;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.SegmentView;
import io.kvcache.spi.TierTrait;
import io.kvcache.testkit.ForwardingCompressor;
import io.kvcache.testkit.ForwardingPolicy;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TruncatingCompressor;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Compressors and policies that throw cost what they were to do, and nothing else. */
class PluginFailureTest extends EngineTest {
  private static final Encoding FAILING = Encoding.of(TruncatingCompressor.COARSE_CODEC);

  /** Goal: it neither ends the mover nor leaves anything open, in any way of encoding anew; the next attempt does. */
  @Test
  void compressorThatThrowsLeavesChunksAsTheyWere() {
    for (Set<TierTrait> traits : List.of(MEMORY, DISK)) {
      for (int target = 0; target < 2; target++) {
        Failing compressor = new Failing();
        Scripted policy = new Scripted();
        MemoryTier from = tier("from", traits, 8);
        MemoryTier below = tier("below", DISK, 8);
        KvCache cache = open(builder(policy, still(clock), from, below).compressors(compressor));
        TestPrompt prompt = prompt(1, 1);
        prompt.store(cache);
        int to = target;
        policy.onHit = segment -> segment.chunksIn(0) == 0 ? null
            : new Move.Transfer(segment, 0, new Placement(to, FAILING), false);
        // Late in a chunk, when all of it is claimed and some is written.
        compressor.callsLeft = 3;
        cache.prefetch(NAMESPACE, prompt.tokens());
        background.runAll();
        assertEquals(1, cache.stats().pluginFailures());
        assertEquals(0, cache.stats().readBuffers());
        assertEquals(0, from.openHandles() + below.openHandles());
        assertEquals(0, cache.stats().tiers().getFirst().errors(), "it is not the tier's fault");
        assertEquals(1, prompt.find(cache), "exact as before");
        compressor.callsLeft = Integer.MAX_VALUE;
        cache.prefetch(NAMESPACE, prompt.tokens());
        background.runAll();
        assertEquals(0, prompt.find(cache));
        assertEquals(1, prompt.find(cache, AcquireOptions.any()));
        close(from, below);
      }
    }
  }

  /** Goal: a lease lets go of everything though the policy fails when told what was observed. */
  @Test
  void policyThatThrowsLeavesNothingLeased() {
    Scripted told = new Scripted();
    FailingPolicy policy = new FailingPolicy(told);
    KvCache cache = openStill(policy, new ForwardingTier(tier("ssd", DISK, 8)) {
      @Override
      public ReadResult read(EntryId id, int part, MemorySegment target, Deadline deadline) {
        clock.advance(50_000_000);
        return super.read(id, part, target, deadline);
      }
    });
    TestPrompt prompt = prompt(1, 1);
    prompt.store(cache);
    SegmentView segment = told.segments.iterator().next();
    for (int load = 0; load < 40; load++) {
      KvLease lease = prompt.acquire(cache, AcquireOptions.exact());
      prompt.read(lease);
      policy.fails = true;
      lease.close();
      policy.fails = false;
      assertFalse(segment.busy(), "leased for ever");
      assertEquals(0, cache.stats().openLeases());
    }
    assertTrue(cache.stats().pluginFailures() > 0, "it was never told");
  }

  private static final class FailingPolicy extends ForwardingPolicy {
    private boolean fails;

    FailingPolicy(Scripted inner) {
      super(inner);
      inner.weighsDelays = true;
    }

    @Override
    public List<Move> on(PlacementEvent event, long nowNanos) {
      if (fails) {
        throw new IllegalStateException("injected");
      }
      return super.on(event, nowNanos);
    }
  }

  /** Encodes so many halves and throws from then on. */
  private static final class Failing extends ForwardingCompressor {
    private int callsLeft = Integer.MAX_VALUE;

    Failing() {
      super(TruncatingCompressor.coarse());
    }

    @Override
    public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
      if (callsLeft-- <= 0) {
        throw new IllegalStateException("injected");
      }
      return super.compress(shape, source, target);
    }
  }
}
