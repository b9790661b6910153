package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierEntry;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;

/** What a tier should hold, as a plain map, and the calls that change both. One thread. */
final class TierModel {
  /** Longest part that {@link #randomParts} asks for, in bytes. */
  static final int MAX_PART_BYTES = 100_000;

  private final Map<EntryId, Stored> entries = new HashMap<>();
  private final MemorySegment target;
  private long lastVersion;

  TierModel(Arena arena) {
    target = arena.allocate(roundUp(MAX_PART_BYTES) + Tier.ALIGNMENT, Tier.ALIGNMENT);
  }

  /** A committed entry. */
  record Stored(long version, long[] partBytes, byte[] note) {
    long bytes() {
      long sum = 0;
      for (long bytes : partBytes) {
        sum += bytes;
      }
      return sum;
    }
  }

  /** A write that is still open, with what it will be when committed. */
  record Pending(EntryId id, TierWrite write, Stored claimed) {}

  /** A view that is still open, with what it must show until closed. */
  record Held(EntryId id, TierView view, Stored stored) {
    void check(String at) {
      assertEquals(stored.partBytes.length, view.parts(), at);
      for (int part = 0; part < view.parts(); part++) {
        MemorySegment bytes = view.part(part);
        assertTrue(bytes.isReadOnly(), at + ": a view's part can be written to");
        assertEquals(0, bytes.address() % 64, at + ": alignment of part " + part);
        assertEquals(stored.partBytes[part], bytes.byteSize(), at + ": length of part " + part);
        assertPayload(bytes, id, part, stored.version, at);
      }
    }
  }

  int size() {
    return entries.size();
  }

  Map<EntryId, Stored> entries() {
    return entries;
  }

  /** Starts a write; empty when the tier has no room. */
  Optional<Pending> create(Tier tier, EntryId id, long[] partBytes, byte[] note) throws IOException {
    Stored claimed = new Stored(++lastVersion, partBytes, note);
    byte[] givenNote = note.clone();
    Optional<TierWrite> write = tier.create(id, givenNote, partBytes.clone());
    if (givenNote.length > 0) {
      givenNote[0]++; // the tier must have copied it
    }
    return write.map(open -> new Pending(id, open, claimed));
  }

  /** Fills and commits a write with parts of these lengths. */
  void commit(Pending pending, long[] partBytes, String at) throws IOException {
    Stored claimed = pending.claimed;
    for (int part = 0; part < partBytes.length; part++) {
      MemorySegment memory = pending.write.part(part);
      assertTrue(memory.byteSize() >= claimed.partBytes[part], at + ": part shorter than claimed");
      assertEquals(0, memory.address() % 64, at + ": alignment of part " + part);
      Payloads.fill(memory.asSlice(0, partBytes[part]), pending.id.key(),
          Payloads.stream(pending.id, part), claimed.version);
    }
    pending.write.commit(partBytes.clone());
    entries.put(pending.id, new Stored(claimed.version, partBytes, claimed.note));
  }

  /** Creates and commits at once; false when the tier has no room. */
  boolean store(Tier tier, EntryId id, long[] partBytes, byte[] note, String at) throws IOException {
    Optional<Pending> pending = create(tier, id, partBytes, note);
    if (pending.isEmpty()) {
      return false;
    }
    try (TierWrite write = pending.get().write()) {
      assertNotNull(write, at);
      commit(pending.get(), partBytes, at);
    }
    return true;
  }

  /** Reads one part, which may not exist, and compares. */
  void checkRead(Tier tier, EntryId id, int part, String at) {
    target.fill((byte) 0x5a); // what a forged "present" would leave standing
    Stored stored = entries.get(id);
    ReadResult result = tier.read(id, part, target, Deadline.never());
    if (stored == null || part >= stored.partBytes.length) {
      assertEquals(new ReadResult.Missing(), result, at + ": " + id + " part " + part);
      return;
    }
    String where = at + ": " + id + " part " + part;
    assertEquals(new ReadResult.Present(stored.partBytes[part]), result, where);
    assertPayload(target.asSlice(0, stored.partBytes[part]), id, part, stored.version, where);
  }

  /** Reads every part of every entry that should be there. */
  void checkAllReads(Tier tier, String at) {
    entries.forEach((id, stored) -> {
      for (int part = 0; part < stored.partBytes.length; part++) {
        checkRead(tier, id, part, at);
      }
    });
  }

  /** Compares the inventory and the number of entries. */
  void checkInventory(Tier tier, String at) throws IOException {
    Map<EntryId, TierEntry> listed = new HashMap<>();
    tier.inventory(entry -> assertNull(listed.put(entry.id(), entry), at + ": listed twice: " + entry.id()));
    assertEquals(entries.keySet(), listed.keySet(), at + ": inventory");
    entries.forEach((id, stored) -> {
      TierEntry entry = listed.get(id);
      assertArrayEquals(stored.note, entry.note(), at + ": note of " + id);
      assertTrue(entry.storedBytes() >= stored.bytes(),
          at + ": " + id + " says " + entry.storedBytes() + " of at least " + stored.bytes() + " bytes");
    });
    assertEquals(entries.size(), tier.usage().entries(), at + ": entries");
  }

  /** Replaces the notes of entries that are there. */
  void annotate(Tier tier, Map<EntryId, byte[]> notes) throws IOException {
    tier.annotate(notes);
    notes.forEach((id, note) -> entries.computeIfPresent(id,
        (same, old) -> new Stored(old.version, old.partBytes, note.clone())));
  }

  /** One to four parts; lengths on both sides of pages and of what tiers treat as small. */
  static long[] randomParts(SplittableRandom random) {
    long[] parts = new long[1 + random.nextInt(4)];
    for (int i = 0; i < parts.length; i++) {
      parts[i] = switch (random.nextInt(5)) {
        case 0 -> random.nextLong(1, 100);
        case 1 -> random.nextLong(4090, 4100);
        case 2 -> random.nextLong(65_530, 65_542);
        case 3 -> random.nextLong(66_000, MAX_PART_BYTES);
        default -> random.nextLong(1, 20_000);
      };
    }
    return parts;
  }

  /** The same number of parts, none longer. */
  static long[] shorter(SplittableRandom random, long[] parts) {
    long[] lengths = parts.clone();
    for (int i = 0; i < lengths.length; i++) {
      lengths[i] = random.nextBoolean() ? lengths[i] : random.nextLong(1, lengths[i] + 1);
    }
    return lengths;
  }

  /** A note of any legal length, often empty or longest. */
  static byte[] randomNote(SplittableRandom random) {
    int length = switch (random.nextInt(4)) {
      case 0 -> 0;
      case 1 -> Tier.MAX_NOTE_BYTES;
      default -> random.nextInt(64);
    };
    byte[] note = new byte[length];
    random.nextBytes(note);
    return note;
  }

  static long roundUp(long bytes) {
    return (bytes + Tier.ALIGNMENT - 1) / Tier.ALIGNMENT * Tier.ALIGNMENT;
  }

  private static void assertPayload(MemorySegment bytes, EntryId id, int part, long version, String at) {
    long wrong = Payloads.mismatch(bytes, id.key(), Payloads.stream(id, part), version);
    assertEquals(-1, wrong, () -> at + ": first wrong byte of " + bytes.byteSize() + ", version " + version);
  }
}
