package io.kvcache.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.CacheEvent;
import io.kvcache.CacheEvent.DropCause;
import io.kvcache.KvCache;
import io.kvcache.Namespace;
import io.kvcache.placement.LruPlacement;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierEntry;
import io.kvcache.testkit.BlockingTier;
import io.kvcache.testkit.FaultyTier;
import io.kvcache.testkit.FaultyTier.Fault;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.LeakCheck;
import io.kvcache.testkit.MemoryTier;
import io.kvcache.testkit.TestPrompt;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Removed stays removed: through crashes, failing tiers, and what waits for a lost parent. */
class RemovalTest extends EngineTest {
  private final MemoryTier dram = tier("dram", MEMORY, 30);
  private final MemoryTier ssd = tier("ssd", DISK, 30);

  private KvCache afterCrash() {
    abandon();
    return openStill(LruPlacement.raw(), tier("dram", MEMORY, 30), checked(ssd.crash()));
  }

  @Test
  void removalSurvivesPowerLoss() throws Exception {
    KvCache cache = openStill(LruPlacement.raw(), dram, ssd);
    TestPrompt prompt = prompt(1, 3);
    prompt.store(cache);
    cache.flush();
    assertEquals(3, cache.remove(NAMESPACE, prompt.tokens()));
    assertEquals(0, prompt.find(cache));
    assertEquals(List.of(new CacheEvent.Dropped("dram", 3, DropCause.REMOVED),
        new CacheEvent.Dropped("ssd", 3, DropCause.REMOVED)), events(CacheEvent.Dropped.class));
    assertEquals(0, prompt.find(afterCrash()));
  }

  @Test
  void removesWhatContinuesAndKeepsWhatOthersShare() throws Exception {
    KvCache cache = openStill(LruPlacement.raw(), dram, ssd);
    TestPrompt shared = prompt(1, 2);
    TestPrompt removed = shared.then(2, 2);
    removed.then(3, 1).store(cache);
    shared.then(4, 2).store(cache);
    assertEquals(3, cache.remove(NAMESPACE, removed.tokens()));
    assertEquals(2, removed.find(cache));
    assertEquals(4, shared.then(4, 2).find(cache));
    assertEquals(0, cache.remove(NAMESPACE, removed.tokens()));
    assertEquals(4, cache.remove(NAMESPACE, shared.tokens()));
    assertEquals(0, cache.stats().chunks());
  }

  @Test
  void clearsOneNamespaceOnly() throws Exception {
    KvCache cache = openStill(LruPlacement.raw(), dram, ssd);
    Namespace other = Namespace.of("another model", LAYOUT);
    TestPrompt.of(other, 1, 2).store(cache);
    prompt(1, 2).store(cache);
    prompt(2, 3).store(cache);
    cache.flush();
    assertEquals(5, cache.clear(NAMESPACE));
    assertEquals(0, cache.clear(NAMESPACE));
    KvCache next = afterCrash();
    assertEquals(0, prompt(1, 2).find(next) + prompt(2, 3).find(next));
    assertEquals(2, TestPrompt.of(other, 1, 2).find(next));
  }

  @Test
  void saysWhenATierCannotPromise() throws Exception {
    FaultyTier failing = new FaultyTier(ssd, 1);
    KvCache cache = openStill(LruPlacement.raw(), dram, failing);
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    cache.flush();
    failing.set(Fault.REMOVE_FAILS, 1);
    assertEquals("tier ssd cannot promise that 2 entries are gone",
        assertThrows(IOException.class, () -> cache.remove(NAMESPACE, prompt.tokens())).getMessage());
    assertEquals(0, prompt.find(cache));
    assertThrows(IOException.class, () -> cache.remove(NAMESPACE, prompt.tokens()), "still not gone");
    failing.setEnabled(false);
    assertEquals(0, cache.remove(NAMESPACE, prompt.tokens()));
    assertEquals(0, prompt.find(afterCrash()));
  }

  /** What could not be removed when it was evicted or damaged must go with the context. */
  @Test
  void removesWhatItFailedToDiscardBefore() throws Exception {
    FaultyTier failing = new FaultyTier(ssd, 1);
    KvCache cache = openStill(LruPlacement.raw(), failing);
    TestPrompt prompt = prompt(1, 2);
    prompt.store(cache);
    cache.flush();
    failing.set(Fault.REMOVE_FAILS, 1).set(Fault.READ_FLIPS, 1);
    assertEquals(0, prompt.find(cache));
    assertTrue(ssd.holds(prompt.entry(0)), "the test needs an entry that stayed");
    failing.setEnabled(false);
    cache.remove(NAMESPACE, prompt.tokens());
    abandon();
    assertEquals(0, prompt.find(openStill(LruPlacement.raw(), checked(ssd.crash()))));
  }

  @Test
  void removesOrphansOfTheContext() throws Exception {
    KvCache cache = openStill(LruPlacement.raw(), ssd);
    TestPrompt prompt = prompt(1, 4);
    prompt.store(cache);
    cache.flush();
    close(ssd);
    MemoryTier holed = checked(ssd.reopen());
    holed.remove(List.of(prompt.entry(1)));
    KvCache next = openStill(LruPlacement.raw(), holed);
    assertEquals(1, prompt.find(next));
    next.remove(NAMESPACE, prompt.start(2).tokens());
    prompt.start(2).store(next);
    assertEquals(2, prompt.find(next), "what was removed came back with its parent");
  }

  @Test
  void tierThatCannotListItsEntriesPromisesNothing() throws Exception {
    KvCache cache = openStill(LruPlacement.raw(), ssd);
    prompt(1, 2).store(cache);
    close(ssd);
    KvCache next = openStill(LruPlacement.raw(), new Unlisted(checked(ssd.reopen())));
    assertEquals(0, prompt(1, 2).find(next));
    assertThrows(IOException.class, () -> next.remove(NAMESPACE, prompt(1, 2).tokens()));
    assertEquals(1, next.stats().tiers().getFirst().errors());
  }

  private static final class Unlisted extends ForwardingTier {
    Unlisted(Tier inner) {
      super(inner);
    }

    @Override
    public void inventory(Consumer<TierEntry> entries) throws IOException {
      throw new IOException("index is damaged");
    }
  }

  @Test
  void removedDuringAMoveDoesNotArrive() throws Exception {
    BlockingTier slow = new BlockingTier(ssd);
    KvCache cache = open(tier("small", MEMORY, 2), slow);
    prompt(1, 2).store(cache);
    slow.block();
    prompt(2, 2).reserve(cache).close();
    slow.awaitCaller();
    CompletableFuture<Integer> removal = elsewhere(() -> {
      try {
        return cache.remove(NAMESPACE, prompt(1, 2).tokens());
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    });
    LeakCheck.await("not removed", () -> cache.stats().chunks() == 0);
    slow.release();
    assertEquals(2, removal.get(10, TimeUnit.SECONDS));
    assertEquals(0, ssd.usage().entries());
    assertEquals(0, prompt(1, 2).find(cache));
  }
}
