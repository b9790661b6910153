package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.KvCache;
import io.kvcache.KvLayout;
import io.kvcache.KvReservation.Status;
import io.kvcache.LayerSpec;
import io.kvcache.Namespace;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.Tier;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.Payloads;
import io.kvcache.testkit.TestPrompt;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Goal: whatever bit of an entry on disk is flipped, however short a part becomes, and whoever's part stands in its
 * place, a look-up is right or a miss. Method: damage one part of each of many entries, past all checksums but the
 * frame's own, and look all of them up through a cache.
 */
final class SsdEveryBitTest {
  private static final long CAPACITY = 12 << 20;
  private static final int HEADER = 0;
  private static final int GROUP = 1;

  /** Zeros between halves, and behind the last, which no checksum covers and nobody reads: bytes at most. */
  private static final int GAP_BYTES = 4 * 63;

  private static final KvLayout IN_INDEX = KvLayout.uniform(2, 1, 4, DType.F16).withChunkTokens(16);

  /** Just large enough for its group not to lie in the index. */
  private static final KvLayout IN_EXTENTS = new KvLayout(List.of(LayerSpec.opaque(4096)), 16);

  @TempDir
  Path scratch;

  private Path intact;
  private Path tried;
  private final List<TestPrompt> prompts = new ArrayList<>();
  private final List<SsdEntry.Part> groups = new ArrayList<>();

  /** Stores so many chunks. */
  private void store(KvLayout layout, int count) throws IOException {
    intact = scratch.resolve("intact");
    tried = scratch.resolve("tried");
    try (SsdTier tier = open(intact); KvCache cache = KvCache.builder(layout).tier(tier).open()) {
      for (int number = 0; number < count; number++) {
        TestPrompt prompt = TestPrompt.of(Namespace.of("model", layout), number, 1);
        assertEquals(Status.RESERVED, prompt.store(cache));
        prompts.add(prompt);
      }
    }
    try (SsdIndex index = SsdIndex.open(intact.resolve("index"), 4 << 20)) {
      for (int entry = 0; entry < count; entry++) {
        groups.add(record(index, entry).parts().get(GROUP));
      }
    }
  }

  private static SsdTier open(Path directory) throws IOException {
    return SsdTier.builder(directory, CAPACITY).stagingBytes(1 << 20).open();
  }

  /** Does something to a part's bytes; null for nothing. */
  @FunctionalInterface
  private interface Damage {
    byte[] to(int entry, byte[] bytes);
  }

  /** Entries that were damaged, and entries that were not found. */
  private record Outcome(BitSet damaged, BitSet missed) {
    /** How many of the damaged ones were found, all the same with the right bytes. */
    int unnoticed() {
      return without(damaged, missed).cardinality();
    }
  }

  private static BitSet without(BitSet all, BitSet some) {
    BitSet left = (BitSet) all.clone();
    left.andNot(some);
    return left;
  }

  /** Damages one part of each entry where it lies in the index, in a copy of the store. */
  private Outcome damageIndex(int part, Damage damage) throws IOException {
    Directories.replace(tried, intact);
    BitSet changed = new BitSet();
    try (SsdIndex index = SsdIndex.open(tried.resolve("index"), 4 << 20);
        SsdIndex.Batch batch = index.batch();
        Arena arena = Arena.ofConfined()) {
      for (int entry = 0; entry < prompts.size(); entry++) {
        long sequence = record(index, entry).sequence();
        byte[] damaged = damage.to(entry, part(index, sequence, part));
        if (damaged != null) {
          changed.set(entry);
          MemorySegment bytes = arena.allocate(Math.max(1, damaged.length)).asSlice(0, damaged.length);
          MemorySegment.copy(damaged, 0, bytes, ValueLayout.JAVA_BYTE, 0, damaged.length);
          batch.putPart(sequence, part, bytes);
        }
      }
      assertTrue(batch.write());
    }
    try (SsdTier tier = open(tried)) {
      return new Outcome(changed, missed(tier));
    }
  }

  private SsdEntry record(SsdIndex index, int entry) throws IOException {
    byte[] key = SsdEntry.key(prompts.get(entry).entry(0));
    try {
      return SsdEntry.decode(key, index.record(key));
    } catch (MalformedDataException e) {
      throw new IOException(e);
    }
  }

  private static byte[] part(SsdIndex index, long sequence, int part) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment target = arena.allocate(64 << 10);
      return target.asSlice(0, index.part(sequence, part, target)).toArray(ValueLayout.JAVA_BYTE);
    }
  }

  /** Looks every entry up through a cache that is not allowed to change the tier; what is found is right. */
  private BitSet missed(SsdTier tier) throws IOException {
    Tier readOnly = new ForwardingTier(tier) {
      @Override
      public int remove(Collection<EntryId> ids) {
        return ids.size();
      }

      @Override
      public void close() {
        // It is used again.
      }
    };
    BitSet missed = new BitSet();
    try (KvCache cache = KvCache.builder(prompts.getFirst().namespace().layout()).tier(readOnly).open()) {
      for (int entry = 0; entry < prompts.size(); entry++) {
        missed.set(entry, prompts.get(entry).find(cache) == 0);
      }
    }
    return missed;
  }

  private static byte[] flipped(byte[] bytes, long bit) {
    bytes[(int) (bit / Byte.SIZE)] ^= (byte) (1 << bit % Byte.SIZE);
    return bytes;
  }

  @Test
  void bitsOfPartsInTheIndex() throws IOException {
    store(IN_INDEX, 128);
    flipInIndex(17);
  }

  @Test
  @Tag("long")
  void everyBitOfPartsInTheIndex() throws IOException {
    store(IN_INDEX, 128);
    flipInIndex(1);
  }

  private void flipInIndex(int step) throws IOException {
    assertEquals(new BitSet(), damageIndex(HEADER, (entry, bytes) -> null).missed,
        "before anything is damaged");
    for (int part : new int[] {HEADER, GROUP}) {
      long[] next = {0, Long.MAX_VALUE}; // the next bit, and how many there are
      int unnoticed = 0;
      while (next[0] < next[1]) {
        Outcome outcome = damageIndex(part, (entry, bytes) -> {
          next[1] = (long) bytes.length * Byte.SIZE;
          long bit = next[0];
          next[0] += step;
          return bit < next[1] ? flipped(bytes, bit) : null;
        });
        assertEquals(new BitSet(), without(outcome.missed, outcome.damaged), "intact, and not found");
        unnoticed += outcome.unnoticed();
      }
      assertUnread(part == HEADER ? 0 : GAP_BYTES, unnoticed, step);
    }
  }

  /** Flips that nobody noticed, since the bytes are right all the same, are those of bytes that nobody reads. */
  private static void assertUnread(int bytes, int unnoticed, int step) {
    int most = bytes == 0 ? 0 : bytes * Byte.SIZE / step + 1;
    assertTrue(unnoticed <= most, unnoticed + " flips were not noticed");
  }

  @Test
  void partsInTheIndexCutShortAtAnyLength() throws IOException {
    store(IN_INDEX, 128);
    for (int part : new int[] {HEADER, GROUP}) {
      int[] next = {0, Integer.MAX_VALUE};
      while (next[0] < next[1]) {
        Outcome outcome = damageIndex(part, (entry, bytes) -> {
          next[1] = bytes.length;
          int length = next[0]++;
          return length < bytes.length ? Arrays.copyOf(bytes, length) : null;
        });
        assertEquals(0, outcome.unnoticed(), "part " + part + " up to " + next[0]);
      }
    }
  }

  @Test
  void partsInTheIndexThatAreOthers() throws IOException {
    store(IN_INDEX, 64);
    for (int part : new int[] {HEADER, GROUP}) {
      byte[][] parts = new byte[prompts.size()][];
      damageIndex(part, (entry, bytes) -> {
        parts[entry] = bytes;
        return null;
      });
      for (int distance : new int[] {1, 2, 3, 5, 8, 13, 21, 34}) {
        Outcome outcome = damageIndex(part, (entry, bytes) -> parts[(entry + distance) % parts.length]);
        assertEquals(prompts.size(), outcome.missed.cardinality(), "part " + part);
      }
    }
  }

  @Test
  void bitsOfExtents() throws IOException {
    store(IN_EXTENTS, 32);
    flipInExtents(1009);
  }

  @Test
  @Tag("long")
  void everyBitOfExtents() throws IOException {
    store(IN_EXTENTS, 32);
    flipInExtents(1);
  }

  private void flipInExtents(int step) throws IOException {
    int unnoticed = 0;
    try (SsdTier tier = open(intact); Groups groups = new Groups()) {
      assertEquals(new BitSet(), missed(tier), "before anything is damaged");
      long bits = groups.bytes * Byte.SIZE;
      for (long first = 0; first < bits; first += (long) step * prompts.size()) {
        BitSet damaged = groups.flip(first, step);
        unnoticed += new Outcome(damaged, missed(tier)).unnoticed();
        groups.flip(first, step);
      }
      assertEquals(new BitSet(), missed(tier), "when all is as it was");
    }
    assertUnread(GAP_BYTES, unnoticed, step);
  }

  @Test
  void extentsThatAreOthers() throws IOException {
    store(IN_EXTENTS, 32);
    try (SsdTier tier = open(intact); Groups groups = new Groups()) {
      List<byte[]> all = new ArrayList<>();
      for (int entry = 0; entry < prompts.size(); entry++) {
        all.add(groups.read(entry));
      }
      for (int distance = 0; distance < prompts.size(); distance++) {
        for (int entry = 0; entry < prompts.size(); entry++) {
          groups.write(entry, all.get((entry + distance) % all.size()));
        }
        assertEquals(distance == 0 ? 0 : prompts.size(), missed(tier).cardinality());
      }
    }
  }

  /** The groups of all entries where they lie in the files of extents. */
  private final class Groups implements AutoCloseable {
    private final Map<Integer, RandomAccessFile> files = new HashMap<>();
    private final List<Extent> extents;
    private final long bytes;

    Groups() throws IOException {
      extents = groups.stream().map(group -> group.extents().getFirst()).toList();
      bytes = groups.getFirst().bytes();
      for (Extent extent : extents) {
        if (!files.containsKey(extent.file())) {
          String name = String.format("extents-%05d", extent.file());
          files.put(extent.file(), new RandomAccessFile(intact.resolve(name).toFile(), "rw"));
        }
      }
    }

    private RandomAccessFile at(int entry, long offset) throws IOException {
      RandomAccessFile file = files.get(extents.get(entry).file());
      file.seek(extents.get(entry).position() + offset);
      return file;
    }

    /** Flips another bit of each, the first and those a step on; says in which that was possible. */
    BitSet flip(long first, int step) throws IOException {
      BitSet flipped = new BitSet();
      for (int entry = 0; entry < extents.size(); entry++) {
        long bit = first + (long) entry * step;
        if (bit < bytes * Byte.SIZE) {
          int old = at(entry, bit / Byte.SIZE).read();
          at(entry, bit / Byte.SIZE).write(old ^ 1 << bit % Byte.SIZE);
          flipped.set(entry);
        }
      }
      return flipped;
    }

    byte[] read(int entry) throws IOException {
      byte[] group = new byte[(int) bytes];
      at(entry, 0).readFully(group);
      return group;
    }

    void write(int entry, byte[] group) throws IOException {
      at(entry, 0).write(group);
    }

    @Override
    public void close() throws IOException {
      for (RandomAccessFile file : files.values()) {
        file.close();
      }
    }
  }

  /** Goal: an index record is believed only as it was written, under the key it was written for. */
  @Test
  void everyBitOfAnIndexRecord() throws MalformedDataException {
    EntryId id = Payloads.entry(1);
    byte[] key = SsdEntry.key(id);
    SsdEntry entry = new SsdEntry(17, List.of(new SsdEntry.Part(200, List.of()),
        new SsdEntry.Part(70_000, List.of(new Extent(0, 5, 10), new Extent(1, 3, 8)))), new byte[128]);
    byte[] record = entry.encode(key);
    assertEquals(entry.parts(), SsdEntry.decode(key, record).parts());
    for (long bit = 0; bit < (long) record.length * Byte.SIZE; bit++) {
      byte[] damaged = flipped(record.clone(), bit);
      assertThrows(MalformedDataException.class, () -> SsdEntry.decode(key, damaged), "bit " + bit);
    }
    for (int length = 0; length < record.length; length++) {
      byte[] cut = Arrays.copyOf(record, length);
      assertThrows(MalformedDataException.class, () -> SsdEntry.decode(key, cut), "cut to " + length);
    }
    assertThrows(MalformedDataException.class,
        () -> SsdEntry.decode(key, Arrays.copyOf(record, record.length + 1)));
    for (long bit = 0; bit < (long) key.length * Byte.SIZE; bit++) {
      byte[] other = flipped(key.clone(), bit);
      assertThrows(MalformedDataException.class, () -> SsdEntry.decode(other, record),
          "bit " + bit + " of the key");
    }
  }
}
