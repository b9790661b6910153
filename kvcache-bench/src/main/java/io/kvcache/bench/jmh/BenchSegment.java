package io.kvcache.bench.jmh;

import io.kvcache.ChunkKey;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.spi.Placement;
import io.kvcache.spi.SegmentView;
import io.kvcache.spi.VariantClass;
import io.kvcache.spi.VariantView;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** A segment without bytes, whole in every tier it is in; about as quick to ask as the cache's own. */
final class BenchSegment implements SegmentView {
  static final ChunkKey ROOT = new ChunkKey(1, 2, 3, 4);

  private static final double WORST_LOSS = 0.5;

  private final long id;
  private final int chunks;
  private final double decayPerNano;
  private final double sensitivity;
  private final List<Whole> variants = new ArrayList<>(1);
  private long uses;
  private double frequency;
  private long lastUseNanos;
  /** Its place in the list of those stored. */
  int position;

  /** All chunks in one tier in one encoding. */
  private record Whole(int tier, Encoding encoding, VariantClass variantClass, int chunks, long bytes)
      implements
        VariantView {}

  BenchSegment(long id, int chunks, long halfLifeNanos, SplittableRandom random) {
    this.decayPerNano = Math.log(2) / halfLifeNanos;
    this.id = id;
    this.chunks = chunks;
    this.sensitivity = random.nextDouble();
  }

  void used(long nowNanos) {
    frequency = frequency(nowNanos) + 1;
    lastUseNanos = nowNanos;
    uses++;
  }

  void place(Placement at, long chunkBytes, VariantClass variantClass) {
    variants.add(new Whole(at.tier(), at.encoding(), variantClass, chunks, chunks * chunkBytes));
  }

  void leave(int tier) {
    variants.removeIf(variant -> variant.tier == tier);
  }

  @Override
  public boolean hasScores(DropMethod method) {
    return true;
  }

  private boolean in(int tier) {
    return bytesIn(tier) > 0;
  }

  @Override
  public long id() {
    return id;
  }

  @Override
  public ChunkKey root() {
    return ROOT;
  }

  @Override
  public SegmentView parent() {
    return null;
  }

  @Override
  public boolean hasChildren() {
    return false;
  }

  @Override
  public int firstChunk() {
    return 0;
  }

  @Override
  public int chunks() {
    return chunks;
  }

  @Override
  public int chunksIn(int tier) {
    return in(tier) ? chunks : 0;
  }

  @Override
  public long bytesIn(int tier) {
    long bytes = 0;
    for (Whole variant : variants) {
      bytes += variant.tier == tier ? variant.bytes : 0;
    }
    return bytes;
  }

  @Override
  public int chunksOnlyIn(int tier) {
    return in(tier) && variants.size() == 1 ? chunks : 0;
  }

  @Override
  public List<? extends VariantView> variants() {
    return variants;
  }

  @Override
  public boolean busy() {
    return false;
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
    double part = (candidate * 0x9E3779B97F4A7C15L + id * 0xBF58476D1CE4E5B9L >>> 40) / (double) (1 << 24);
    return 1 - WORST_LOSS * sensitivity * part;
  }
}
