package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.EntryId;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierUsage;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;

/** A seeded sequence of calls on a tier and its model, compared after each step. */
final class TierScript {
  private static final int IDS = 24; // few, so that calls collide
  private static final int MOST_OPEN = 4;

  private final TierContract contract;
  private final long seed;
  private final SplittableRandom random;
  private final TierModel model;
  private final List<TierModel.Pending> pending = new ArrayList<>();
  private final List<TierModel.Held> held = new ArrayList<>();
  private Tier tier;
  private String at;

  TierScript(TierContract contract, long seed, Arena arena) {
    this.contract = contract;
    this.seed = seed;
    random = new SplittableRandom(seed);
    model = new TierModel(arena);
  }

  void run(int steps) throws Exception {
    tier = contract.newTier(contract.capacityBytes());
    long empty = tier.usage().usedBytes();
    for (int i = 0; i < steps; i++) {
      at = "seed=" + seed + " step=" + i;
      step();
      TierContract.assertWithinCapacity(tier, at);
      assertEquals(model.size(), tier.usage().entries(), at);
    }
    model.checkAllReads(tier, at);
    releaseAll();
    assertEquals(model.size(), tier.remove(model.entries().keySet()), at);
    contract.assertEmptied(tier, empty, at);
    tier.close();
  }

  private void step() throws Exception {
    switch (random.nextInt(20)) {
      case 0, 1, 2, 3 -> store();
      case 4, 5 -> begin();
      case 6, 7 -> finish();
      case 8, 9, 10, 11 -> model.checkRead(tier, anyId(), random.nextInt(5), at);
      case 12, 13 -> remove();
      case 14 -> model.annotate(tier, notes());
      case 15 -> model.checkInventory(tier, at);
      case 16, 17 -> look();
      case 18 -> endLook();
      default -> flush();
    }
  }

  private void store() throws IOException {
    long[] parts = TierModel.randomParts(random);
    if (!model.store(tier, anyId(), parts, TierModel.randomNote(random), at)) {
      TierUsage usage = tier.usage();
      assertTrue(usage.usedBytes() > usage.capacityBytes() / 8, at + ": refused when nearly empty");
    }
  }

  private void begin() throws IOException {
    if (pending.size() < MOST_OPEN) {
      model.create(tier, anyId(), TierModel.randomParts(random), TierModel.randomNote(random))
          .ifPresent(pending::add);
    }
  }

  private void finish() throws IOException {
    if (pending.isEmpty()) {
      return;
    }
    TierModel.Pending write = pending.remove(random.nextInt(pending.size()));
    if (random.nextInt(3) > 0) {
      model.commit(write, TierModel.shorter(random, write.claimed().partBytes()), at);
    }
    write.write().close();
  }

  private void remove() throws IOException {
    Set<EntryId> ids = new HashSet<>();
    for (int count = random.nextInt(1, 4); count > 0; count--) {
      ids.add(anyId());
    }
    int before = model.size();
    model.entries().keySet().removeAll(ids);
    assertEquals(before - model.size(), tier.remove(List.copyOf(ids)), at);
  }

  private Map<EntryId, byte[]> notes() {
    Map<EntryId, byte[]> notes = new HashMap<>();
    for (int count = random.nextInt(1, 4); count > 0; count--) {
      notes.put(anyId(), TierModel.randomNote(random));
    }
    return notes;
  }

  private void look() {
    if (!tier.traits().contains(TierTrait.ADDRESSABLE) || held.size() == MOST_OPEN) {
      return;
    }
    EntryId id = anyId();
    TierModel.Stored stored = model.entries().get(id);
    assertEquals(stored != null, tier.view(id).map(view -> held.add(new TierModel.Held(id, view, stored)))
        .orElse(false), at + ": view of " + id);
  }

  private void endLook() {
    if (!held.isEmpty()) {
      TierModel.Held view = held.remove(random.nextInt(held.size()));
      view.check(at);
      view.view().close();
    }
  }

  private void flush() throws Exception {
    tier.flush();
    if (tier.traits().contains(TierTrait.DURABLE) && random.nextInt(4) == 0) {
      releaseAll();
      tier.close();
      tier = contract.reopen(tier, contract.capacityBytes());
      model.checkInventory(tier, at + " after reopening");
    }
  }

  private void releaseAll() {
    pending.forEach(write -> write.write().close());
    pending.clear();
    held.forEach(view -> view.check(at));
    held.forEach(view -> view.view().close());
    held.clear();
  }

  private EntryId anyId() {
    return Payloads.entry(random.nextInt(IDS));
  }
}
