package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.FaultyTier.Fault;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;

class FaultyTierTest {
  private static final EntryId ID = Payloads.entry(0);
  private static final EntryId OTHER = Payloads.entry(2);
  private static final long[] PARTS = {100, 200};

  private final ManualClock clock = new ManualClock();
  private final MemoryTier memory = new MemoryTier("memory", 1 << 20, Set.of(TierTrait.ADDRESSABLE));
  private final FaultyTier tier = new FaultyTier(memory, 1, 1000, clock::advance);
  private final MemorySegment target = Arena.ofAuto().allocate(Tier.ALIGNMENT, Tier.ALIGNMENT);

  /** Goal: a wrapper without faults is the tier itself. */
  @Nested
  class WithoutFaults extends TierContract {
    @Override
    protected Tier newTier(long capacityBytes) {
      return new FaultyTier(new MemoryTier("memory", capacityBytes, Set.of(TierTrait.ADDRESSABLE)), 1);
    }
  }

  @Test
  void flippedBitIsOneBit() throws IOException {
    store(ID);
    tier.set(Fault.READ_FLIPS, 1);
    assertEquals(new ReadResult.Present(200), tier.read(ID, 1, target, Deadline.never()));
    assertEquals(1, wrongBits(target.asSlice(0, 200), 1));
    try (TierView view = tier.view(ID).orElseThrow()) {
      assertEquals(1, wrongBits(view.part(0), 0) + wrongBits(view.part(1), 1));
    }
    assertEquals(2, tier.injected(Fault.READ_FLIPS));
    tier.setEnabled(false);
    tier.read(ID, 1, target, Deadline.never());
    assertEquals(0, wrongBits(target.asSlice(0, 200), 1));
    assertEquals(2, tier.injected());
  }

  @Test
  void misdirectedReadGivesAnotherEntry() throws IOException {
    store(ID);
    tier.set(Fault.READ_MISDIRECTS, 1);
    tier.read(ID, 0, target, Deadline.never());
    assertEquals(0, tier.injected(), "there is no other entry yet");
    store(OTHER);
    tier.read(ID, 0, target, Deadline.never());
    assertEquals(-1, Payloads.mismatch(target.asSlice(0, 100), OTHER.key(), Payloads.stream(OTHER, 0), 1));
    try (TierView view = tier.view(ID).orElseThrow()) {
      assertEquals(-1, Payloads.mismatch(view.part(0), OTHER.key(), Payloads.stream(OTHER, 0), 1));
    }
    assertEquals(2, tier.injected(Fault.READ_MISDIRECTS));
  }

  @Test
  void readsEndEarlyFailMissOrTakeTime() throws IOException {
    store(ID);
    tier.set(Fault.READ_TRUNCATES, 1).set(Fault.READ_DELAYS, 1);
    ReadResult result = tier.read(ID, 1, target, Deadline.never());
    long read = assertInstanceOf(ReadResult.Present.class, result).bytes();
    assertTrue(read < 200, "read " + read);
    assertTrue(clock.getAsLong() > 0 && clock.getAsLong() <= 1000, "clock at " + clock.getAsLong());
    tier.set(Fault.READ_MISSES, 1);
    assertInstanceOf(ReadResult.Missing.class, tier.read(ID, 1, target, Deadline.never()));
    assertTrue(tier.view(ID).isEmpty());
    tier.set(Fault.READ_FAILS, 1);
    assertInstanceOf(ReadResult.Unreadable.class, tier.read(ID, 1, target, Deadline.never()));
    assertEquals(0, memory.openHandles());
  }

  @Test
  void callsFail() throws IOException {
    store(ID);
    store(OTHER);
    for (Fault fault : Fault.values()) {
      tier.set(fault, 1);
    }
    assertThrows(IOException.class, () -> tier.create(ID, new byte[0], PARTS));
    assertThrows(IOException.class, () -> tier.annotate(Map.of(ID, new byte[1])));
    assertThrows(IOException.class, tier::flush);
    assertThrows(IOException.class, () -> tier.remove(List.of(ID, OTHER)));
    assertEquals(1, tier.usage().entries(), "removing stopped half way");
    tier.set(Fault.CREATE_FAILS, 0);
    assertTrue(tier.create(ID, new byte[0], PARTS).isEmpty());
    tier.set(Fault.NO_ROOM, 0);
    long used = memory.usage().usedBytes();
    try (TierWrite write = tier.create(ID, new byte[0], PARTS).orElseThrow()) {
      assertThrows(IOException.class, () -> write.commit(PARTS));
    }
    assertEquals(used, memory.usage().usedBytes());
    assertEquals(0, memory.openHandles());
  }

  @Test
  void sameSeedSameFaults() throws IOException {
    boolean[] first = missesOf(5);
    assertArrayEquals(first, missesOf(5));
    assertFalse(Arrays.equals(first, missesOf(6)));
  }

  private static boolean[] missesOf(long seed) throws IOException {
    FaultyTier tier = new FaultyTier(new MemoryTier("memory", 1 << 20, Set.of()), seed);
    tier.create(ID, new byte[0], PARTS).orElseThrow().commit(PARTS);
    tier.set(Fault.READ_MISSES, 0.5);
    MemorySegment page = Arena.ofAuto().allocate(Tier.ALIGNMENT, Tier.ALIGNMENT);
    boolean[] misses = new boolean[64];
    for (int i = 0; i < misses.length; i++) {
      misses[i] = tier.read(ID, 0, page, Deadline.never()) instanceof ReadResult.Missing;
    }
    return misses;
  }

  private void store(EntryId id) throws IOException {
    try (TierWrite write = tier.create(id, new byte[0], PARTS).orElseThrow()) {
      for (int part = 0; part < PARTS.length; part++) {
        Payloads.fill(write.part(part), id.key(), Payloads.stream(id, part), 1);
      }
      write.commit(PARTS);
    }
  }

  private static int wrongBits(MemorySegment bytes, int part) {
    MemorySegment right = MemorySegment.ofArray(new byte[(int) bytes.byteSize()]);
    Payloads.fill(right, ID.key(), Payloads.stream(ID, part), 1);
    int wrong = 0;
    for (long at = 0; at < bytes.byteSize(); at++) {
      wrong += Integer.bitCount(0xff
          & (bytes.get(ValueLayout.JAVA_BYTE, at) ^ right.get(ValueLayout.JAVA_BYTE, at)));
    }
    return wrong;
  }
}
