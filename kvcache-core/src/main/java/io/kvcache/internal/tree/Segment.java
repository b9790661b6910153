package io.kvcache.internal.tree;

import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
import io.kvcache.spi.SegmentView;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A node of the prefix tree: a run of consecutive chunks in which no two contexts branch. Keys are longs in one array
 * the segment owns. Guarded by the cache's lock.
 */
public final class Segment implements SegmentView {
  /** Most chunks of a segment, so that one operation is never huge and a word has a bit for each. */
  public static final int MAX_CHUNKS = 64;

  private static final int KEY_WORDS = 4;
  private static final Set<DropMethod> ALL_METHODS =
      Collections.unmodifiableSet(EnumSet.allOf(DropMethod.class));
  private static final Set<DropMethod> NO_METHODS = Set.of();

  private final long id;
  private final ChunkKey root;
  private final double decayPerNano;
  private Segment parent;
  private ChunkKey orphanOf;
  private int firstChunk;
  private int chunks;
  private long[] keys = new long[0];
  private Map<ChunkKey, Segment> children = Map.of();
  private final List<Variant> variants = new ArrayList<>(1);
  private int leases;
  private boolean migrating;
  private boolean detached;
  private double frequency;
  private long lastUseNanos;
  private long uses;
  /** For each candidate what one chunk adds to the loss of its context, NaN where unknown; null where all is. */
  private float[] lossPerChunk;
  /** The methods that the engine gave scores for, of every chunk. */
  private Set<DropMethod> scored = ALL_METHODS;

  /** The root of a namespace when {@code parent} is null and it stays without chunks. */
  Segment(long id, ChunkKey root, Segment parent, int firstChunk, double decayPerNano) {
    this.id = id;
    this.root = root;
    this.parent = parent;
    this.firstChunk = firstChunk;
    this.decayPerNano = decayPerNano;
  }

  @Override
  public long id() {
    return id;
  }

  @Override
  public ChunkKey root() {
    return root;
  }

  /** The key the first chunk follows. */
  public ChunkKey previous() {
    if (parent == null) {
      return orphanOf;
    }
    return parent.chunks == 0 ? root : parent.key(parent.chunks - 1);
  }

  /** Says that the chunk this one follows, which has this key, is lost. */
  void orphan(ChunkKey missing) {
    orphanOf = missing;
  }

  @Override
  public SegmentView parent() {
    return parent == null || parent.chunks == 0 ? null : parent;
  }

  /** The node above, which may be the root of the namespace. */
  Segment above() {
    return parent;
  }

  void setAbove(Segment above) {
    parent = above;
  }

  @Override
  public boolean hasChildren() {
    return !children.isEmpty();
  }

  Collection<Segment> children() {
    return children.values();
  }

  Segment child(ChunkKey key) {
    return children.get(key);
  }

  void addChild(Segment child) {
    if (children.isEmpty()) {
      children = new HashMap<>(2);
    }
    children.put(child.key(0), child);
    child.parent = this;
    child.orphanOf = null;
  }

  void removeChild(Segment child) {
    children.remove(child.key(0));
    if (children.isEmpty()) {
      children = Map.of();
    }
  }

  @Override
  public int firstChunk() {
    return firstChunk;
  }

  @Override
  public int chunks() {
    return chunks;
  }

  /** The key of chunk {@code index} of this segment. */
  public ChunkKey key(int index) {
    int at = index * KEY_WORDS;
    return new ChunkKey(keys[at], keys[at + 1], keys[at + 2], keys[at + 3]);
  }

  boolean hasKey(int index, ChunkKey key) {
    int at = index * KEY_WORDS;
    return keys[at] == key.word0()
        && keys[at + 1] == key.word1()
        && keys[at + 2] == key.word2()
        && keys[at + 3] == key.word3();
  }

  /** Says that so many chunks will be appended soon, so that no more room is taken for keys than they need. */
  void expect(int more) {
    int wanted = Math.min(MAX_CHUNKS, chunks + more) * KEY_WORDS;
    if (wanted > keys.length) {
      keys = Arrays.copyOf(keys, wanted);
    }
  }

  /** Gives back room taken for keys that did not come. */
  void trim() {
    keys = Arrays.copyOf(keys, chunks * KEY_WORDS);
  }

  void append(ChunkKey key) {
    int at = chunks * KEY_WORDS;
    if (at == keys.length) {
      keys = Arrays.copyOf(keys, Math.min(MAX_CHUNKS * KEY_WORDS, Math.max(KEY_WORDS, keys.length * 2)));
    }
    keys[at] = key.word0();
    keys[at + 1] = key.word1();
    keys[at + 2] = key.word2();
    keys[at + 3] = key.word3();
    chunks++;
    lossPerChunk = null; // nobody has measured what the new chunk loses
  }

  @Override
  public List<Variant> variants() {
    return variants;
  }

  /** A tier has one entry for a chunk and class: what was there in another encoding is replaced. */
  void place(int index, Stored stored) {
    Variant into = null;
    for (Variant variant : List.copyOf(variants)) {
      if (variant.tier() == stored.tier() && variant.encoding().equals(stored.encoding())) {
        into = variant;
      } else if (variant.tier() == stored.tier() && variant.variantClass() == stored.variantClass()) {
        displace(index, variant);
      }
    }
    if (into == null) {
      into = new Variant(stored.tier(), stored.encoding(), stored.variantClass(), chunks);
      variants.add(into);
    }
    into.add(index, stored.generation(), stored.bytes());
  }

  void displace(int index, Variant variant) {
    variant.remove(index);
    if (variant.present() == 0) {
      variants.remove(variant);
    }
  }

  /** Whether no chunk is stored anywhere. */
  boolean empty() {
    return variants.isEmpty();
  }

  private long presentIn(int tier) {
    long present = 0;
    for (Variant variant : variants) {
      present |= variant.tier() == tier ? variant.present() : 0;
    }
    return present;
  }

  private long presentOutside(int tier) {
    long present = 0;
    for (Variant variant : variants) {
      present |= variant.tier() == tier ? 0 : variant.present();
    }
    return present;
  }

  @Override
  public int chunksIn(int tier) {
    return Long.bitCount(presentIn(tier));
  }

  @Override
  public int chunksOnlyIn(int tier) {
    return Long.bitCount(presentIn(tier) & ~presentOutside(tier));
  }

  @Override
  public long bytesIn(int tier) {
    long bytes = 0;
    for (Variant variant : variants) {
      bytes += variant.tier() == tier ? variant.bytes() : 0;
    }
    return bytes;
  }

  @Override
  public boolean busy() {
    return leases > 0 || migrating;
  }

  /** The segment of this path that holds a chunk of the context, or null where it is lost; splits move them up. */
  Segment holding(int chunk) {
    Segment segment = this;
    while (segment != null && chunk < segment.firstChunk) {
      segment = segment.parent;
    }
    return segment;
  }

  /** Adds {@code count} to the holders on this segment and all above it. */
  void hold(int count) {
    for (Segment segment = this; segment != null; segment = segment.parent) {
      segment.leases += count;
      assert segment.leases >= 0 : "released more often than held: segment " + id;
    }
  }

  /** Whether a look-up or a claim holds it. */
  public boolean leased() {
    return leases > 0;
  }

  /** Whether a migration works on it. */
  public boolean migrating() {
    return migrating;
  }

  void setMigrating(boolean now) {
    migrating = now;
  }

  /** Whether the segment was removed from the tree. */
  public boolean detached() {
    return detached;
  }

  void detach() {
    detached = true;
  }

  @Override
  public long lastUseNanos() {
    return lastUseNanos;
  }

  @Override
  public double frequency(long nowNanos) {
    return frequency * Math.exp(-decayPerNano * Math.max(0, nowNanos - lastUseNanos));
  }

  @Override
  public long uses() {
    return uses;
  }

  @Override
  public double quality(int candidate) {
    return lossPerChunk == null || candidate >= lossPerChunk.length
        ? Double.NaN
        : Math.max(0, 1 - (double) lossPerChunk[candidate] * chunks);
  }

  @Override
  public boolean hasScores(DropMethod method) {
    return !method.needsScores() || scored.contains(method);
  }

  /** The methods that there are scores for, of every chunk. */
  public Set<DropMethod> scored() {
    return scored;
  }

  /** Chunks were stored that have scores for these methods only. */
  public void scored(Set<DropMethod> methods) {
    if (!methods.containsAll(scored)) {
      Set<DropMethod> both = EnumSet.noneOf(DropMethod.class);
      both.addAll(scored);
      both.retainAll(methods);
      scored = both.isEmpty() ? NO_METHODS : both;
    }
  }

  /** Whether qualities were measured. */
  public boolean profiled() {
    return lossPerChunk != null;
  }

  /** For each candidate what one chunk adds to the loss of its context; null when nobody measured. */
  public float[] lossPerChunk() {
    return lossPerChunk;
  }

  /** Takes note of measured losses, for each candidate and chunk; null forgets them. The array is not copied. */
  public void profile(float[] losses) {
    lossPerChunk = losses;
  }

  /** Counts a use. */
  public void use(long nowNanos) {
    uses++;
    frequency = frequency(nowNanos) + 1;
    lastUseNanos = nowNanos;
  }

  /** Chunks were stored: a new segment counts as used once, and all of the path as used just now. */
  public void store(long nowNanos) {
    double known = frequency(nowNanos);
    for (Segment segment = this; segment != null; segment = segment.parent) {
      segment.frequency = segment.frequency(nowNanos);
      segment.lastUseNanos = nowNanos;
    }
    // Only now: what a new segment was last used at is no time, and nothing may decay from there.
    frequency = Math.max(1, known);
    uses = Math.max(1, uses);
  }

  /** Takes over what was known of its use before a restart; the most recent and frequent of its chunks counts. */
  public void restoreUse(double count, long useCount, long atNanos) {
    // Times before the machine was started are negative: 0 stands for "not known" only together with no use.
    lastUseNanos = frequency == 0 ? atNanos : Math.max(lastUseNanos, atNanos);
    frequency = Math.max(Double.MIN_NORMAL, Math.max(frequency, count));
    uses = Math.max(uses, useCount);
  }

  /** Splits the leading {@code count} chunks off into {@code upper}, which takes this segment's place. */
  void splitInto(Segment upper, int count) {
    assert count > 0 && count < chunks : count + " of " + chunks;
    for (int index = 0; index < count; index++) {
      upper.append(key(index));
    }
    for (Variant variant : List.copyOf(variants)) {
      Variant leading = variant.splitOff(count, chunks);
      if (leading.present() != 0) {
        upper.variants.add(leading);
      }
      if (variant.present() == 0) {
        variants.remove(variant);
      }
    }
    upper.orphanOf = orphanOf;
    upper.leases = leases;
    upper.migrating = migrating;
    upper.frequency = frequency;
    upper.uses = uses;
    upper.lossPerChunk = lossPerChunk;
    upper.scored = scored;
    upper.lastUseNanos = lastUseNanos;
    Segment above = parent;
    if (above != null) {
      above.removeChild(this);
    }
    keys = Arrays.copyOfRange(keys, count * KEY_WORDS, chunks * KEY_WORDS);
    chunks -= count;
    firstChunk += count;
    if (above != null) {
      above.addChild(upper);
    }
    upper.addChild(this);
  }
}
