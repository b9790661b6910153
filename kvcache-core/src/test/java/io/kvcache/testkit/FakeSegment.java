package io.kvcache.testkit;

import io.kvcache.spi.SegmentView;
import java.util.ArrayList;
import java.util.List;

/** A segment of a prefix tree that holds no bytes, for tests of policies; {@link PolicyScript} moves it about. */
public final class FakeSegment implements SegmentView {
  private static final int MOST_TIERS = 8;

  private final long id;
  private final long chunkBytes;
  private final List<FakeSegment> children = new ArrayList<>();
  private final long[] present = new long[MOST_TIERS];
  private FakeSegment parent;
  private int firstChunk;
  private int chunks;
  private boolean busy;
  private long lastUseNanos;

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

  /** Puts all chunks into a tier. */
  public void place(int tier) {
    present[tier] = -1L >>> (Long.SIZE - chunks);
  }

  /** Takes all chunks out of a tier. */
  public void leave(int tier) {
    present[tier] = 0;
  }

  /** Says whether it may be moved. */
  public void setBusy(boolean now) {
    busy = now;
  }

  /** Uses it and all before it. */
  public void use(long nowNanos) {
    for (FakeSegment segment = this; segment != null; segment = segment.parent) {
      segment.lastUseNanos = nowNanos;
    }
  }

  /** Splits the leading chunks off into a new segment. */
  public FakeSegment split(long upperId, int count) {
    FakeSegment upper = new FakeSegment(upperId, parent, count, chunkBytes);
    for (int tier = 0; tier < MOST_TIERS; tier++) {
      upper.present[tier] = present[tier] & -1L >>> (Long.SIZE - count);
      present[tier] >>>= count;
    }
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
    return presentOutside(-1) == 0 && children.isEmpty();
  }

  /** The segments before it and itself, in order. */
  public List<FakeSegment> path() {
    List<FakeSegment> path = new ArrayList<>();
    for (FakeSegment segment = this; segment != null; segment = segment.parent) {
      path.addFirst(segment);
    }
    return path;
  }

  private long presentOutside(int tier) {
    long all = 0;
    for (int other = 0; other < MOST_TIERS; other++) {
      all |= other == tier ? 0 : present[other];
    }
    return all;
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
    return Long.bitCount(present[tier]);
  }

  @Override
  public long bytesIn(int tier) {
    return chunksIn(tier) * chunkBytes;
  }

  @Override
  public int chunksOnlyIn(int tier) {
    return Long.bitCount(present[tier] & ~presentOutside(tier));
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
    return 1;
  }

  @Override
  public String toString() {
    return "segment " + id;
  }
}
