package io.kvcache.simulation;

import io.kvcache.ChunkKey;
import io.kvcache.simulation.Setup.TierSetup;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.Tier;
import io.kvcache.testkit.FaultyTier;
import io.kvcache.testkit.FaultyTier.Fault;
import io.kvcache.testkit.ManualClock;
import io.kvcache.testkit.MemoryTier;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.UnaryOperator;

/**
 * The media under a cache, which outlive it; each wrapped so that it fails, and so that it tells what it was
 * asked.
 */
final class Media {
  private static final long LONGEST_DELAY_NANOS = 2_000_000_000L;
  /** The key of the entry with the delay lines: no chunk can have it. */
  private static final ChunkKey DELAY_LINES = ChunkKey.of(
      Arrays.copyOf("kvcache delay lines".getBytes(StandardCharsets.US_ASCII), ChunkKey.BYTES));

  private final Setup setup;
  private final ManualClock clock;
  private final SplittableRandom random;
  private final List<MemoryTier> media = new ArrayList<>();
  private final List<FaultyTier> faulty = new ArrayList<>();
  private final List<LedgerTier> ledgers = new ArrayList<>();
  private final List<Tier> tiers = new ArrayList<>();
  private final Power power = new Power();
  private final List<Set<EntryId>> flushed = new ArrayList<>();
  private boolean faultsOn;

  Media(Setup setup, ManualClock clock, SplittableRandom random) {
    this.setup = setup;
    this.clock = clock;
    this.random = random;
    for (TierSetup tier : setup.tiers()) {
      media.add(new MemoryTier(tier.name(), tier.capacityBytes(), tier.traits()));
      flushed.add(new HashSet<>());
    }
    wrap();
  }

  private void wrap() {
    faulty.clear();
    ledgers.clear();
    tiers.clear();
    for (int index = 0; index < media.size(); index++) {
      Tier medium = media.get(index);
      Tier base = setup.tiers().get(index).durable() ? setup.mutation().apply(medium) : medium;
      FaultyTier tier = new FaultyTier(base, random.nextLong(), LONGEST_DELAY_NANOS, clock::advance);
      if (setup.faulty()) {
        for (Fault fault : Fault.values()) {
          tier.set(fault, random.nextInt(3) == 0 ? random.nextDouble() * 0.3 : random.nextDouble() * 0.02);
        }
      }
      tier.setEnabled(faultsOn);
      faulty.add(tier);
      LedgerTier ledger = new LedgerTier(tier, setup.faulty());
      ledgers.add(ledger);
      tiers.add(power.feed(ledger));
    }
  }

  /** The tiers to build a cache with. */
  List<? extends Tier> tiers() {
    return tiers;
  }

  Power power() {
    return power;
  }

  void setFaults(boolean on) {
    faultsOn = on && setup.faulty();
    faulty.forEach(tier -> tier.setEnabled(faultsOn));
  }

  /** Takes note of what a flush has just promised. */
  void flushed() {
    for (int index = 0; index < media.size(); index++) {
      if (setup.tiers().get(index).durable()) {
        Set<EntryId> entries = new HashSet<>();
        media.get(index).inventory(entry -> entries.add(entry.id()));
        flushed.set(index, entries);
        ledgers.get(index).forget();
      }
    }
  }

  /** Entries that a flush promised and that the cache has left alone since. */
  Set<EntryId> promised() {
    Set<EntryId> promised = new HashSet<>();
    for (int index = 0; index < media.size(); index++) {
      Set<EntryId> entries = new HashSet<>(flushed.get(index));
      entries.removeAll(ledgers.get(index).touched());
      promised.addAll(entries);
    }
    return promised;
  }

  void crash() {
    restart(MemoryTier::crash);
  }

  void reopen() {
    restart(MemoryTier::reopen);
  }

  private void restart(UnaryOperator<MemoryTier> how) {
    for (int index = 0; index < media.size(); index++) {
      flushed.get(index).removeAll(ledgers.get(index).touched());
    }
    media.replaceAll(how);
    power.restore();
    wrap();
  }

  int openHandles() {
    return media.stream().mapToInt(MemoryTier::openHandles).sum();
  }

  /** Bytes used but for what a cache has learned of delays, which belongs to no context. */
  long usedBytes() {
    long[] bytes = {media.stream().mapToLong(medium -> medium.usage().usedBytes()).sum()};
    for (MemoryTier medium : media) {
      medium.inventory(entry -> bytes[0] -= entry.id().key().equals(DELAY_LINES) ? entry.storedBytes() : 0);
    }
    return bytes[0];
  }

  /** Bytes of the entries of one medium. */
  long inventoryBytes(int index) {
    long[] bytes = new long[1];
    media.get(index).inventory(entry -> bytes[0] += entry.storedBytes());
    return bytes[0];
  }

  /** What one medium holds of these keys, as entries are long. */
  long entryBytes(int index, Set<ChunkKey> keys) {
    long[] bytes = new long[1];
    media.get(index).inventory(
        entry -> bytes[0] += keys.contains(entry.id().key()) ? media.get(index).bytes(entry.id()) : 0);
    return bytes[0];
  }

  /** What is stored anywhere. */
  Set<ChunkKey> keys() {
    Set<ChunkKey> keys = new HashSet<>();
    media.forEach(medium -> medium.inventory(entry -> keys.add(entry.id().key())));
    keys.remove(DELAY_LINES);
    return keys;
  }

  long usedBytes(int index) {
    return media.get(index).usage().usedBytes();
  }
}
