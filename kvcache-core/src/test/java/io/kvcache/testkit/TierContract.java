package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierUsage;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

/**
 * What every {@link Tier} must do: extend, return a fresh tier, inherit the tests. Every random choice
 * follows from a seed that stands in each message; {@code -Dtest.seed=N} replays one.
 *
 * <p>For tiers that keep what they were given until told otherwise, not for self-evicting ones.
 */
public abstract class TierContract {
  /** Bytes of the parts in tests that need no special size. */
  private static final long[] TWO_PARTS = {5000, 70_000};

  private static final byte[] NOTE = {1, 2, 3};

  /** A fresh, empty tier, which the test closes. */
  protected abstract Tier newTier(long capacityBytes) throws Exception;

  /**
   * A durable tier over what {@code closed}, which was closed, left behind.
   *
   * @param capacityBytes what {@code closed} had
   */
  protected Tier reopen(Tier closed, long capacityBytes) throws Exception {
    throw new UnsupportedOperationException("a durable tier's test overrides reopen");
  }

  /**
   * A durable tier over what {@code open} would leave behind if power failed now. Where that cannot be
   * staged, it is closed and reopened.
   */
  protected Tier crash(Tier open, long capacityBytes) throws Exception {
    try {
      open.close();
    } catch (IllegalStateException leaked) {
      assertFalse(leaked.getMessage().isBlank()); // a crash leaves writes open, which a tier may report
    }
    return reopen(open, capacityBytes);
  }

  /** Capacity the tests ask for; at least 2 MiB beyond what an empty tier takes. */
  protected long capacityBytes() {
    return 4 << 20;
  }

  /**
   * Bytes that usage may show for an emptied tier beyond those of a fresh one, such as a log not yet cleaned.
   */
  protected long residueBytes() {
    return 0;
  }

  /** Goal: agree with a map under any order of calls. Method: replay seeded calls on both. */
  @RepeatedTest(8)
  void agreesWithModel(RepetitionInfo run) throws Exception {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    try (Arena arena = Arena.ofConfined()) {
      new TierScript(this, seed, arena).run(300);
    }
  }

  /**
   * Goal: no torn, stale or foreign bytes with several threads. Method: single-writer registers, see there.
   */
  @RepeatedTest(3)
  void concurrentReadersSeeCommittedVersions(RepetitionInfo run) throws Exception {
    long seed = Long.getLong("test.seed", run.getCurrentRepetition());
    try (Tier tier = newTier(capacityBytes())) {
      long empty = tier.usage().usedBytes();
      new TierStress(tier, seed).run(200);
      assertEmptied(tier, empty, "seed=" + seed);
    }
  }

  /** Goal: full is an answer, not an error, and passes. Method: fill until full, remove, fill again. */
  @Test
  void saysWhenFullAndRecovers() throws Exception {
    try (Tier tier = newTier(capacityBytes()); Arena arena = Arena.ofConfined()) {
      TierModel model = new TierModel(arena);
      long empty = tier.usage().usedBytes();
      long[] tooLarge = {capacityBytes() + 1};
      assertTrue(tier.create(Payloads.entry(0), NOTE, tooLarge).isEmpty(), "over capacity");
      for (int round = 0; round < 3; round++) {
        long partBytes = Math.min(capacityBytes() / 100, 80_000) + round * 7000L;
        int stored = 0;
        while (model.store(tier, Payloads.entry(stored), new long[] {partBytes}, NOTE, "fill")) {
          stored++;
          assertWithinCapacity(tier, "round " + round);
        }
        long bytes = stored * partBytes;
        assertTrue(bytes > (tier.usage().capacityBytes() - empty) / 2, "full at " + bytes + " bytes");
        model.checkAllReads(tier, "full, round " + round);
        assertEquals(model.size(), tier.remove(model.entries().keySet()), "round " + round);
        model.entries().clear();
        assertEmptied(tier, empty, "round " + round);
      }
    }
  }

  /** Goal: what evicting cannot cure is said not to be. Method: an entry too large, open claims, then entries. */
  @Test
  void saysWhetherRemovalHelps() throws Exception {
    try (Tier tier = newTier(capacityBytes())) {
      long[] part = {Math.min(capacityBytes() / 100, 80_000)};
      assertFalse(tier.removalHelps(new long[] {capacityBytes() + 1}), "over capacity");
      List<TierWrite> claims = new ArrayList<>();
      Optional<TierWrite> claim = tier.create(Payloads.entry(0), NOTE, part);
      while (claim.isPresent()) {
        claims.add(claim.get());
        claim = tier.create(Payloads.entry(claims.size()), NOTE, part);
      }
      assertFalse(tier.removalHelps(part), claims.size() + " open claims, no entry");
      for (TierWrite write : claims) {
        write.commit(part);
      }
      int entries = claims.size();
      while ((claim = tier.create(Payloads.entry(entries), NOTE, part)).isPresent()) {
        claim.get().commit(part);
        entries++;
      }
      assertTrue(tier.removalHelps(part), entries + " entries, no claim");
      assertEquals(1, tier.remove(List.of(Payloads.entry(0))));
      tier.create(Payloads.entry(0), NOTE, part).orElseThrow().close();
    }
  }

  /** Goal: a refused or abandoned write leaves the older entry alone. */
  @Test
  void olderEntryStaysUntilCommit() throws Exception {
    try (Tier tier = newTier(capacityBytes()); Arena arena = Arena.ofConfined()) {
      TierModel model = new TierModel(arena);
      EntryId id = Payloads.entry(1);
      assertTrue(model.store(tier, id, TWO_PARTS, NOTE, "first"));
      long used = tier.usage().usedBytes();
      TierModel.Pending pending = model.create(tier, id, new long[] {9, 9, 9}, new byte[0]).orElseThrow();
      assertTrue(tier.usage().usedBytes() >= used, "a claim counts as used");
      model.checkRead(tier, id, 1, "while a replacement is open");
      model.checkInventory(tier, "while a replacement is open");
      pending.write().close();
      pending.write().close();
      model.checkRead(tier, id, 0, "after it was abandoned");
      model.checkInventory(tier, "after it was abandoned");
      assertTrue(tier.create(id, NOTE, new long[] {capacityBytes()}).isEmpty(), "no room beside the older");
      model.checkRead(tier, id, 1, "after a claim was refused");
    }
  }

  /** Goal: what is not there is a value. */
  @Test
  void missingIsAValue() throws Exception {
    try (Tier tier = newTier(capacityBytes()); Arena arena = Arena.ofConfined()) {
      TierModel model = new TierModel(arena);
      EntryId id = Payloads.entry(2);
      EntryId sibling = Payloads.entry(3); // same key, other variant
      assertTrue(model.store(tier, id, TWO_PARTS, NOTE, "store"));
      model.checkRead(tier, sibling, 0, "other variant");
      model.checkRead(tier, id, 2, "no such part");
      MemorySegment page = arena.allocate(Tier.ALIGNMENT, Tier.ALIGNMENT);
      assertEquals(new ReadResult.Missing(), tier.read(id, 0, page, Deadline.never()), "target too small");
      assertEquals(new ReadResult.Missing(), tier.read(id, -1, page, Deadline.never()), "negative part");
      assertEquals(0, tier.remove(List.of(sibling)), "removing nothing");
      assertEquals(0, tier.remove(List.of()), "removing no ids");
      model.annotate(tier, Map.of(sibling, NOTE));
      model.checkInventory(tier, "after annotating what is not there");
      assertEquals(1, tier.remove(List.of(id, sibling, id)), "an id counts once");
      assertTrue(tier.view(id).isEmpty(), "view of a removed entry");
    }
  }

  /** Goal: a caller's mistake is named at once and changes nothing. */
  @Test
  void rejectsBrokenCalls() throws Exception {
    try (Tier tier = newTier(capacityBytes()); Arena arena = Arena.ofConfined()) {
      TierModel model = new TierModel(arena);
      EntryId id = Payloads.entry(4);
      long empty = tier.usage().usedBytes();
      byte[] longNote = new byte[Tier.MAX_NOTE_BYTES + 1];
      assertThrows(IllegalArgumentException.class, () -> tier.create(id, longNote, TWO_PARTS));
      assertThrows(IllegalArgumentException.class, () -> tier.create(id, NOTE, new long[] {5, 0}));
      assertThrows(IllegalArgumentException.class, () -> tier.create(id, NOTE, new long[] {-1}));
      assertThrows(IllegalArgumentException.class, () -> tier.annotate(Map.of(id, longNote)));
      try (TierWrite write = tier.create(id, NOTE, TWO_PARTS).orElseThrow()) {
        assertThrows(IndexOutOfBoundsException.class, () -> write.part(2));
        assertThrows(IllegalArgumentException.class, () -> write.commit(new long[] {1}));
        assertThrows(IllegalArgumentException.class, () -> write.commit(new long[] {5001, 1}));
        assertThrows(IllegalArgumentException.class, () -> write.commit(new long[] {1, -1}));
      }
      model.checkInventory(tier, "after nothing but mistakes");
      assertEmptied(tier, empty, "after nothing but mistakes");
    }
  }

  /** Goal: a write that is over cannot be used again; closing it again is harmless. */
  @Test
  void writesEndOnce() throws Exception {
    try (Tier tier = newTier(capacityBytes()); Arena arena = Arena.ofConfined()) {
      TierModel model = new TierModel(arena);
      long empty = tier.usage().usedBytes();
      TierModel.Pending stored = model.create(tier, Payloads.entry(5), TWO_PARTS, NOTE).orElseThrow();
      model.commit(stored, TWO_PARTS, "commit");
      assertThrows(IllegalStateException.class, () -> stored.write().commit(TWO_PARTS));
      stored.write().close();
      stored.write().close();
      TierModel.Pending abandoned = model.create(tier, Payloads.entry(6), TWO_PARTS, NOTE).orElseThrow();
      abandoned.write().close();
      abandoned.write().close();
      assertThrows(IllegalStateException.class, () -> abandoned.write().commit(TWO_PARTS));
      model.checkAllReads(tier, "after closing twice");
      model.checkInventory(tier, "after closing twice");
      tier.remove(model.entries().keySet());
      assertEmptied(tier, empty, "after closing twice");
    }
  }

  /** Goal: shrinking at commit gives space back. */
  @Test
  void commitReturnsWhatItDoesNotUse() throws Exception {
    try (Tier tier = newTier(capacityBytes()); Arena arena = Arena.ofConfined()) {
      TierModel model = new TierModel(arena);
      long empty = tier.usage().usedBytes();
      EntryId id = Payloads.entry(7);
      TierModel.Pending pending = model.create(tier, id, new long[] {1 << 20, 1 << 19}, NOTE).orElseThrow();
      long claimed = tier.usage().usedBytes();
      assertTrue(claimed >= empty + (3 << 19), "claimed " + claimed + " of an empty " + empty);
      try (TierWrite write = pending.write()) {
        assertTrue(write.part(0).byteSize() >= 1 << 20);
        model.commit(pending, new long[] {70_000, 10}, "shrunk");
      }
      long used = tier.usage().usedBytes();
      assertTrue(used <= empty + (1 << 18), "still " + used + " of an empty " + empty);
      model.checkAllReads(tier, "shrunk");
    }
  }

  /** Goal: an open view shows what it showed, whatever becomes of the entry and the space around it. */
  @Test
  void viewsOutliveTheirEntry() throws Exception {
    try (Tier tier = newTier(capacityBytes()); Arena arena = Arena.ofConfined()) {
      if (!tier.traits().contains(TierTrait.ADDRESSABLE)) {
        return;
      }
      TierModel model = new TierModel(arena);
      long empty = tier.usage().usedBytes();
      EntryId removed = Payloads.entry(8);
      EntryId replaced = Payloads.entry(9);
      List<TierModel.Held> views = new ArrayList<>();
      for (EntryId id : List.of(removed, replaced, replaced)) {
        assertTrue(model.store(tier, id, TWO_PARTS, NOTE, "store"));
        views.add(new TierModel.Held(id, tier.view(id).orElseThrow(), model.entries().get(id)));
      }
      tier.remove(List.of(removed, replaced));
      long held = tier.usage().usedBytes();
      assertTrue(held > empty, "memory that views show is still used");
      model.entries().clear();
      int stored = 0;
      while (model.store(tier, Payloads.entry(100 + stored), TWO_PARTS, NOTE, "fill")) {
        stored++;
      }
      views.forEach(view -> view.check("after the tier was filled again"));
      assertThrows(IndexOutOfBoundsException.class, () -> views.getFirst().view().part(2));
      views.forEach(view -> view.view().close());
      views.forEach(view -> view.view().close());
      model.checkAllReads(tier, "after closing views twice");
      tier.remove(model.entries().keySet());
      assertEmptied(tier, empty, "after closing views twice");
    }
  }

  /** Goal: a closed tier says so, and closing it again is harmless. */
  @Test
  void closedTierSaysSo() throws Exception {
    Tier tier = newTier(capacityBytes());
    EntryId id = Payloads.entry(10);
    try (Arena arena = Arena.ofConfined()) {
      assertTrue(new TierModel(arena).store(tier, id, TWO_PARTS, NOTE, "store"));
      tier.close();
      tier.close();
      MemorySegment target = arena.allocate(8192, Tier.ALIGNMENT);
      assertThrows(IllegalStateException.class, () -> tier.create(id, NOTE, TWO_PARTS));
      assertThrows(IllegalStateException.class, () -> tier.read(id, 0, target, Deadline.never()));
      assertThrows(IllegalStateException.class, () -> tier.remove(List.of(id)));
      assertThrows(IllegalStateException.class, () -> tier.annotate(Map.of(id, NOTE)));
      assertThrows(IllegalStateException.class, () -> tier.inventory(entry -> {}));
      assertThrows(IllegalStateException.class, tier::flush);
      assertFalse(tier.name().isBlank());
    }
  }

  /** Goal: entries and notes of a durable tier are there again; what was removed is not. */
  @Test
  void durableTierComesBack() throws Exception {
    try (Arena arena = Arena.ofConfined()) {
      TierModel model = new TierModel(arena);
      Tier tier = newTier(capacityBytes());
      if (!tier.traits().contains(TierTrait.DURABLE)) {
        tier.close();
        return;
      }
      SplittableRandom random = new SplittableRandom(11);
      for (int i = 0; i < 12; i++) {
        assertTrue(model.store(tier, Payloads.entry(i), new long[] {10 + i, 70_000}, NOTE, "entry " + i));
      }
      model.annotate(tier, Map.of(Payloads.entry(3), TierModel.randomNote(random)));
      assertEquals(1, tier.remove(List.of(Payloads.entry(4))));
      model.entries().remove(Payloads.entry(4));
      Optional<TierModel.Pending> open = model.create(tier, Payloads.entry(50), TWO_PARTS, NOTE);
      tier.flush();
      Tier crashed = crash(tier, capacityBytes());
      model.checkInventory(crashed, "after flush and crash");
      model.checkAllReads(crashed, "after flush and crash");
      assertTrue(open.isPresent());
      crashed.close();
      Tier again = reopen(crashed, capacityBytes());
      model.checkInventory(again, "after close and reopen");
      model.checkAllReads(again, "after close and reopen");
      assertWithinCapacity(again, "after close and reopen");
      again.close();
    }
  }

  /**
   * Goal: a crash without flush may lose entries, but never brings a removed one back nor shows wrong bytes.
   */
  @Test
  void crashMayLoseButNeverResurrects() throws Exception {
    try (Arena arena = Arena.ofConfined()) {
      TierModel model = new TierModel(arena);
      Tier tier = newTier(capacityBytes());
      if (!tier.traits().contains(TierTrait.DURABLE)) {
        tier.close();
        return;
      }
      for (int i = 0; i < 8; i++) {
        assertTrue(model.store(tier, Payloads.entry(i), TWO_PARTS, NOTE, "entry " + i));
      }
      tier.flush();
      for (int i = 8; i < 16; i++) {
        assertTrue(model.store(tier, Payloads.entry(i), TWO_PARTS, NOTE, "entry " + i));
      }
      assertEquals(4, tier.remove(List.of(0L, 1L, 8L, 9L).stream().map(Payloads::entry).toList()));
      Tier crashed = crash(tier, capacityBytes());
      Set<EntryId> survivors = new HashSet<>();
      crashed.inventory(entry -> survivors.add(entry.id()));
      for (long gone : new long[] {0, 1, 8, 9}) {
        assertFalse(survivors.contains(Payloads.entry(gone)), "came back: entry " + gone);
      }
      for (int kept = 2; kept < 8; kept++) {
        assertTrue(survivors.contains(Payloads.entry(kept)), "lost though flushed: entry " + kept);
      }
      model.entries().keySet().retainAll(survivors);
      model.checkInventory(crashed, "after the crash");
      model.checkAllReads(crashed, "after the crash");
      crashed.close();
    }
  }

  /** Goal: whoever looks by another tier's trait gets no view. */
  @Test
  void onlyAddressableTiersGiveViews() throws Exception {
    try (Tier tier = newTier(capacityBytes()); Arena arena = Arena.ofConfined()) {
      EntryId id = Payloads.entry(12);
      assertTrue(new TierModel(arena).store(tier, id, TWO_PARTS, NOTE, "store"));
      Optional<TierView> view = tier.view(id);
      assertEquals(tier.traits().contains(TierTrait.ADDRESSABLE), view.isPresent());
      view.ifPresent(TierView::close);
      byte[][] listed = new byte[1][];
      tier.inventory(entry -> listed[0] = entry.note());
      listed[0][0]++; // what the tier hands out is not its own copy
      tier.inventory(entry -> assertArrayEquals(NOTE, entry.note()));
    }
  }

  static void assertWithinCapacity(Tier tier, String at) {
    TierUsage usage = tier.usage();
    assertTrue(usage.usedBytes() <= usage.capacityBytes(), at + ": " + usage);
    assertTrue(usage.usedBytes() >= 0 && usage.entries() >= 0, at + ": " + usage);
  }

  void assertEmptied(Tier tier, long emptyBytes, String at) {
    TierUsage usage = tier.usage();
    assertTrue(usage.usedBytes() <= emptyBytes + residueBytes(),
        at + ": used " + usage.usedBytes() + ", fresh " + emptyBytes);
    assertEquals(0, usage.entries(), at + ": " + usage);
  }
}
