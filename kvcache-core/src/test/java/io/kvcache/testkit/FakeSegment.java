package io.kvcache.testkit;

import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.spi.SegmentView;
import io.kvcache.spi.VariantClass;
import io.kvcache.spi.VariantView;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * A segment of a prefix tree that holds no bytes, for tests of policies; {@link PolicyScript} moves it about.
 */
public final class FakeSegment implements SegmentView {
  /** What all segments' namespace is known by, unless another is given. */
  public static final ChunkKey ROOT = new ChunkKey(1, 2, 3, 4);

  private final long id;
  private final long chunkBytes;
  private final List<FakeSegment> children = new ArrayList<>();
  private final List<FakeVariant> variants = new ArrayList<>();
  private FakeSegment parent;
  private int firstChunk;
  private int chunks;
  private boolean busy;
  private long lastUseNanos;
  private ChunkKey root = ROOT;
  private double frequency = 1;
  private long uses = 1;
  private double[] lossPerChunk;
  private Set<DropMethod> scored = Set.of(DropMethod.values());

  /** Chunks in one tier in one encoding; a bit for each. */
  private record FakeVariant(int tier, Encoding encoding, VariantClass variantClass, long present,
      long bytesPerChunk) implements VariantView {
    @Override
    public int chunks() {
      return Long.bitCount(present);
    }

    @Override
    public long bytes() {
      return chunks() * bytesPerChunk;
    }

    FakeVariant with(long chunks) {
      return new FakeVariant(tier, encoding, variantClass, chunks, bytesPerChunk);
    }
  }

  /** A segment behind {@code parent}, or at the start of a context; nothing of it is stored yet. */
  public FakeSegment(long id, FakeSegment parent, int chunks, long chunkBytes) {
    this.id = id;
    this.chunkBytes = chunkBytes;
    this.chunks = chunks;
    if (parent != null) {
      firstChunk = parent.firstChunk + parent.chunks;
      attachTo(parent);
    }
  }

  private void attachTo(FakeSegment above) {
    parent = above;
    above.children.add(this);
  }

  /** Puts all chunks into a tier, raw. */
  public void place(int tier) {
    place(tier, Encoding.RAW, VariantClass.FULL, chunkBytes);
  }

  /** Puts all chunks into a tier in an encoding, in place of what was there of its class. */
  public void place(int tier, Encoding encoding, VariantClass variantClass, long bytesPerChunk) {
    variants.removeIf(variant -> variant.tier == tier && variant.variantClass == variantClass);
    variants.add(new FakeVariant(tier, encoding, variantClass, -1L >>> (Long.SIZE - chunks), bytesPerChunk));
  }

  /** Takes all chunks out of a tier. */
  public void leave(int tier) {
    variants.removeIf(variant -> variant.tier == tier);
  }

  /** Takes the variants of some classes out of a tier. */
  public void leave(int tier, Set<VariantClass> classes) {
    variants.removeIf(variant -> variant.tier == tier && classes.contains(variant.variantClass));
  }

  /** Says what namespace it is of. */
  public void setRoot(ChunkKey namespace) {
    root = namespace;
  }

  /** Says how often it is used, whatever the time. */
  public void setFrequency(double often) {
    frequency = often;
  }

  /** Says what was measured: for each candidate the quality with just this segment encoded so; null for nothing. */
  public void profile(double... qualities) {
    lossPerChunk = qualities == null ? null : qualities.clone();
    for (int candidate = 0; qualities != null && candidate < qualities.length; candidate++) {
      lossPerChunk[candidate] = (1 - qualities[candidate]) / chunks;
    }
  }

  /** Says whether it may be moved. */
  public void setBusy(boolean now) {
    busy = now;
  }

  /** Uses it and all before it. */
  public void use(long nowNanos) {
    for (FakeSegment segment = this; segment != null; segment = segment.parent) {
      segment.lastUseNanos = nowNanos;
      segment.uses++;
    }
  }

  /** Splits the leading chunks off into a new segment. */
  public FakeSegment split(long upperId, int count) {
    FakeSegment upper = new FakeSegment(upperId, parent, count, chunkBytes);
    for (FakeVariant variant : List.copyOf(variants)) {
      variants.remove(variant);
      long leading = variant.present & -1L >>> (Long.SIZE - count);
      if (leading != 0) {
        upper.variants.add(variant.with(leading));
      }
      if (variant.present >>> count != 0) {
        variants.add(variant.with(variant.present >>> count));
      }
    }
    upper.root = root;
    upper.frequency = frequency;
    upper.uses = uses;
    upper.scored = scored;
    upper.lossPerChunk = lossPerChunk;
    upper.firstChunk = firstChunk;
    upper.busy = busy;
    upper.lastUseNanos = lastUseNanos;
    if (parent != null) {
      parent.children.remove(this);
    }
    firstChunk += count;
    chunks -= count;
    attachTo(upper);
    return upper;
  }

  /** Takes it out of the tree. */
  public void detach() {
    if (parent != null) {
      parent.children.remove(this);
    }
  }

  /** Whether it is stored nowhere and nothing follows it. */
  public boolean useless() {
    return variants.isEmpty() && children.isEmpty();
  }

  /** The segments before it and itself, in order. */
  public List<FakeSegment> path() {
    List<FakeSegment> path = new ArrayList<>();
    for (FakeSegment segment = this; segment != null; segment = segment.parent) {
      path.addFirst(segment);
    }
    return path;
  }

  private long presentIn(int tier) {
    return variants.stream().filter(variant -> variant.tier == tier).mapToLong(FakeVariant::present)
        .reduce(0, (one, other) -> one | other);
  }

  private long presentOutside(int tier) {
    return variants.stream().filter(variant -> variant.tier != tier).mapToLong(FakeVariant::present)
        .reduce(0, (one, other) -> one | other);
  }

  @Override
  public long id() {
    return id;
  }

  @Override
  public FakeSegment parent() {
    return parent;
  }

  @Override
  public boolean hasChildren() {
    return !children.isEmpty();
  }

  @Override
  public int firstChunk() {
    return firstChunk;
  }

  @Override
  public int chunks() {
    return chunks;
  }

  @Override
  public int chunksIn(int tier) {
    return Long.bitCount(presentIn(tier));
  }

  @Override
  public long bytesIn(int tier) {
    return variants.stream().filter(variant -> variant.tier == tier).mapToLong(FakeVariant::bytes).sum();
  }

  @Override
  public int chunksOnlyIn(int tier) {
    return Long.bitCount(presentIn(tier) & ~presentOutside(tier));
  }

  @Override
  public boolean busy() {
    return busy;
  }

  @Override
  public long lastUseNanos() {
    return lastUseNanos;
  }

  @Override
  public double frequency(long nowNanos) {
    return frequency;
  }

  @Override
  public long uses() {
    return uses;
  }

  /** Says which methods there are scores for; all unless told. */
  public void setScored(Set<DropMethod> methods) {
    scored = methods;
  }

  @Override
  public boolean hasScores(DropMethod method) {
    return !method.needsScores() || scored.contains(method);
  }

  @Override
  public double quality(int candidate) {
    return lossPerChunk == null || candidate >= lossPerChunk.length
        ? Double.NaN
        : Math.max(0, 1 - lossPerChunk[candidate] * chunks);
  }

  @Override
  public ChunkKey root() {
    return root;
  }

  @Override
  public List<? extends VariantView> variants() {
    return List.copyOf(variants);
  }

  @Override
  public String toString() {
    return "segment " + id;
  }
}
