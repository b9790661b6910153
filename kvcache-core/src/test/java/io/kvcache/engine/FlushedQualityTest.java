package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.kvcache.AcquireOptions;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvCache;
import io.kvcache.KvLease;
import io.kvcache.KvLease.Run;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import io.kvcache.testkit.TruncatingCompressor;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A flush puts nothing worse in the place of what a durable tier has, but something better. */
class FlushedQualityTest extends EngineTest {
  private static final Encoding FOUR_BITS = Encoding.of(TruncatingCompressor.CODEC);
  private static final Encoding TWO_BITS = Encoding.of(TruncatingCompressor.COARSE_CODEC);
  private static final Encoding HALF = Encoding.RAW.keeping(DropMethod.KNORM, 50);

  private final Scripted policy = new Scripted();
  private final TestPrompt prompt = prompt(1, 3);
  private MemoryTier ssd;
  private KvCache cache;

  @BeforeEach
  void openWithAPromptInMemory() {
    ssd = tier("ssd", DISK, 20);
    cache = cacheOn(tier("dram", MEMORY, 20), ssd);
    prompt.store(cache);
  }

  private KvCache cacheOn(MemoryTier... tiers) {
    return open(builder(policy, still(clock), tiers).compressors(TruncatingCompressor.coarse()));
  }

  private void flushAs(Encoding persisted) throws Exception {
    policy.persisted = persisted;
    cache.flush();
  }

  private void reencodeInMemory(Encoding as) {
    policy.reencode(0, as, false);
    cache.prefetch(NAMESPACE, prompt.tokens());
    background.runAll();
  }

  private void moveToDisk(Encoding as) {
    policy.onHit = segment -> segment.chunksIn(0) == 0 ? null
        : new Move.Transfer(segment, 0, new Placement(1, as), false);
    cache.prefetch(NAMESPACE, prompt.tokens());
    background.runAll();
  }

  /** What the disk has, all of which must be sound. */
  private List<String> onDisk() throws Exception {
    close(ssd);
    policy.onHit = segment -> null;
    KvCache again = cacheOn(checked(ssd.reopen()));
    AcquireOptions any = AcquireOptions.any().acceptingPruned();
    assertEquals(3, prompt.find(again, any));
    assertEquals(3, again.stats().tiers().getFirst().entries());
    try (KvLease lease = prompt.acquire(again, any)) {
      return lease.runs().stream().map(Run::codec).toList();
    }
  }

  @Test
  void fewerBitsDoNotReplaceMore() throws Exception {
    flushAs(FOUR_BITS);
    reencodeInMemory(TWO_BITS);
    flushAs(FOUR_BITS);
    assertEquals(List.of("truncating"), onDisk());
  }

  @Test
  void fewerBitsDoNotReplaceMoreThoughAskedFor() throws Exception {
    flushAs(FOUR_BITS);
    flushAs(TWO_BITS);
    assertEquals(List.of("truncating"), onDisk());
  }

  @Test
  void prunedChunksDoNotReplaceWholeOnes() throws Exception {
    flushAs(TWO_BITS);
    reencodeInMemory(HALF);
    flushAs(TWO_BITS);
    assertEquals(List.of("coarse"), onDisk());
  }

  @Test
  void nothingLossyIsStoredBesideExactChunks() throws Exception {
    flushAs(Encoding.RAW);
    reencodeInMemory(FOUR_BITS);
    flushAs(FOUR_BITS);
    assertEquals(List.of("raw"), onDisk());
  }

  @Test
  void moreBitsReplaceFewer() throws Exception {
    flushAs(TWO_BITS);
    flushAs(FOUR_BITS);
    assertEquals(List.of("truncating"), onDisk());
  }

  @Test
  void wholeChunksThatLoseLessReplacePrunedOnes() throws Exception {
    flushAs(HALF);
    flushAs(FOUR_BITS);
    assertEquals(List.of("truncating"), onDisk());
  }

  /** The policy asked for exact bytes, and the source has two bits of each. */
  @Test
  void moveDoesNotReplaceWhatItsSourceCannotMatch() throws Exception {
    flushAs(FOUR_BITS);
    reencodeInMemory(TWO_BITS);
    moveToDisk(Encoding.RAW);
    assertEquals(0, cache.stats().tiers().getFirst().entries());
    assertEquals(List.of("truncating"), onDisk());
  }

  /** A move in which fewer bits were asked for is a decision. */
  @Test
  void moveReplacesAsThePolicySays() throws Exception {
    flushAs(FOUR_BITS);
    moveToDisk(TWO_BITS);
    assertEquals(List.of("coarse"), onDisk());
  }
}
