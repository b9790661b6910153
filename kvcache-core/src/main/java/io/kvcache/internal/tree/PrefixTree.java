package io.kvcache.internal.tree;

import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
import io.kvcache.spi.PlacementEvent;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * What is stored, found by prefix: for each namespace a tree of {@link Segment}s. It holds no bytes and does
 * no I/O.
 *
 * <p>Segments split only where contexts branch; a path that merely goes on behind a leaf joins it, up to the
 * cap. A segment whose parent is lost waits as an orphan until its parent's last chunk is stored again.
 * Guarded by the cache's lock.
 */
public final class PrefixTree {
  private final int maxSegmentChunks;
  private final double decayPerNano;
  private final Consumer<PlacementEvent> events;
  private final Map<ChunkKey, Segment> roots = new HashMap<>();
  /** Segments without parent, by namespace root and the key their first chunk follows. */
  private final Map<ChunkKey, Map<ChunkKey, List<Segment>>> orphans = new HashMap<>();
  private long nextId;
  private int segments;
  private long chunks;

  /**
   * An empty tree.
   *
   * @param maxSegmentChunks most chunks of a segment; at most {@value Segment#MAX_CHUNKS} are used
   * @param halfLifeNanos time in which a use comes to count half
   * @param events told of every change
   */
  public PrefixTree(int maxSegmentChunks, long halfLifeNanos, Consumer<PlacementEvent> events) {
    this.maxSegmentChunks = Math.clamp(maxSegmentChunks, 1, Segment.MAX_CHUNKS);
    this.decayPerNano = Math.log(2) / halfLifeNanos;
    this.events = events;
  }

  /** Segments in the tree, orphans included. */
  public int segments() {
    return segments;
  }

  /** Chunks in the tree, stored or not. */
  public long chunks() {
    return chunks;
  }

  /** Chunks of {@code keys}, from the first on, that are in the tree, whether stored or not. */
  public List<Position> match(ChunkKey root, List<ChunkKey> keys) {
    List<Position> path = new ArrayList<>(keys.size());
    Segment segment = roots.get(root);
    while (segment != null && path.size() < keys.size()) {
      segment = segment.child(keys.get(path.size()));
      int index = 0;
      while (segment != null
          && index < segment.chunks()
          && path.size() < keys.size()
          && segment.hasKey(index, keys.get(path.size()))) {
        path.add(new Position(segment, segment.firstChunk() + index));
        index++;
      }
      if (segment != null && index < segment.chunks()) {
        segment = null;
      }
    }
    return path;
  }

  /**
   * The context that a segment is most likely part of: what comes before it, the segment itself, and behind it what was
   * used last wherever contexts branch. Empty when what comes before it is lost.
   */
  public List<Position> contextOf(Segment segment) {
    Segment last = segment;
    while (last.hasChildren()) {
      last = last.children().stream()
          .max(Comparator.comparingLong(Segment::lastUseNanos).thenComparingLong(Segment::id)).orElseThrow();
    }
    List<Position> path = new ArrayList<>(last.firstChunk() + last.chunks());
    boolean whole = last.holding(0) != null;
    for (int chunk = 0; whole && chunk < last.firstChunk() + last.chunks(); chunk++) {
      path.add(new Position(last, chunk));
    }
    return path;
  }

  /** Whether a context goes on behind this chunk. */
  public boolean continues(Position position) {
    Segment segment = position.segment();
    return position.chunk() + 1 < segment.firstChunk() + segment.chunks() || segment.hasChildren();
  }

  /** Whether more than one context goes on behind this chunk. */
  public boolean branchesBehind(Position position) {
    Segment segment = position.segment();
    return position.chunk() + 1 == segment.firstChunk() + segment.chunks() && segment.children().size() > 1;
  }

  /**
   * Makes sure that the context {@code keys} is in the tree.
   *
   * @param joinable whether a leaf may be extended; else what follows it becomes its child
   * @return a position for each key
   */
  public List<Position> ensure(ChunkKey root, List<ChunkKey> keys, Predicate<Segment> joinable) {
    List<Position> path = match(root, keys);
    Segment at = path.size() < keys.size() ? endOf(root, path) : null;
    Segment joined = null;
    while (path.size() < keys.size()) {
      ChunkKey key = keys.get(path.size());
      if (at.child(key) != null) {
        path = match(root, keys);
        at = path.size() < keys.size() ? endOf(root, path) : null;
      } else {
        if (!hasRoom(at) || at.migrating() || (at != joined && !joinable.test(at))) {
          at = newSegment(root, at, at.firstChunk() + at.chunks());
        }
        if (at != joined) {
          at.expect(Math.min(maxSegmentChunks - at.chunks(), keys.size() - path.size()));
        }
        joined = at; // asked about only once: what is appended to it now is stored nowhere yet
        append(root, at, key);
        path.add(new Position(at, at.firstChunk() + at.chunks() - 1));
      }
    }
    return path;
  }

  private boolean hasRoom(Segment leaf) {
    return leaf.chunks() > 0 && leaf.chunks() < maxSegmentChunks && !leaf.hasChildren();
  }

  /** The segment that ends where a path does, from which another chunk can go on. */
  private Segment endOf(ChunkKey root, List<Position> path) {
    return path.isEmpty() ? root(root) : branchAt(path.getLast());
  }

  private Segment root(ChunkKey root) {
    return roots.computeIfAbsent(root, key -> new Segment(nextId++, root, null, 0, decayPerNano));
  }

  private Segment newSegment(ChunkKey root, Segment above, int firstChunk) {
    segments++;
    return new Segment(nextId++, root, above, firstChunk, decayPerNano);
  }

  private void append(ChunkKey root, Segment segment, ChunkKey key) {
    segment.append(key);
    chunks++;
    if (segment.chunks() == 1 && segment.above() != null) {
      segment.above().addChild(segment);
    }
    for (Segment orphan : orphansOf(root, key)) {
      if (orphan.firstChunk() == segment.firstChunk() + segment.chunks()) {
        removeOrphan(orphan);
        segment.addChild(orphan);
      }
    }
  }

  private List<Segment> orphansOf(ChunkKey root, ChunkKey missing) {
    return List.copyOf(orphans.getOrDefault(root, Map.of()).getOrDefault(missing, List.of()));
  }

  private void addOrphan(Segment orphan) {
    orphans.computeIfAbsent(orphan.root(), root -> new HashMap<>())
        .computeIfAbsent(orphan.previous(), missing -> new ArrayList<>())
        .add(orphan);
  }

  private void removeOrphan(Segment orphan) {
    Map<ChunkKey, List<Segment>> waiting = orphans.get(orphan.root());
    List<Segment> siblings = waiting.get(orphan.previous());
    siblings.remove(orphan);
    if (siblings.isEmpty()) {
      waiting.remove(orphan.previous());
    }
    if (waiting.isEmpty()) {
      orphans.remove(orphan.root());
    }
  }

  /** The segment that ends with {@code position}; splits one that goes on. */
  private Segment endAt(Position position) {
    Segment segment = position.segment();
    int count = position.chunk() + 1 - segment.firstChunk();
    if (count == segment.chunks()) {
      return segment;
    }
    Segment upper = newSegment(segment.root(), segment.above(), segment.firstChunk());
    boolean orphan = segment.above() == null;
    if (orphan) {
      removeOrphan(segment);
    }
    segment.splitInto(upper, count);
    if (orphan) {
      addOrphan(upper);
    }
    events.accept(new PlacementEvent.Split(upper, segment));
    return upper;
  }

  /** As {@link #endAt}; of what is split off, nothing stays in the tree that nobody needs. */
  private Segment branchAt(Position position) {
    Segment lower = position.segment();
    Segment upper = endAt(position);
    if (lower != upper && useless(lower)) {
      unlink(lower);
      gone(lower);
    }
    return upper;
  }

  /**
   * Puts one chunk found at a warm restart back. Call in ascending order of {@code chunkIndex}.
   *
   * @param previous the key it follows; {@code root} for the first
   * @param before where that chunk is, or null when it is not stored
   */
  public Position restore(ChunkKey root, ChunkKey previous, Position before, int chunkIndex, ChunkKey key) {
    Segment at;
    if (before != null) {
      at = endAt(before);
    } else {
      at = chunkIndex == 0 ? root(root) : null;
    }
    if (at == null || !hasRoom(at)) {
      Segment above = at;
      at = newSegment(root, above, chunkIndex);
      if (above == null) {
        at.orphan(previous);
        addOrphan(at);
      }
    }
    append(root, at, key);
    return new Position(at, chunkIndex);
  }

  /** Says that every chunk was put back. */
  public void restored() {
    forEach(Segment::trim);
  }

  /** Records an entry of a chunk. */
  public void place(Position position, Stored stored) {
    Segment segment = position.segment();
    segment.place(position.chunk() - segment.firstChunk(), stored);
    events.accept(new PlacementEvent.Placed(segment, stored.tier()));
  }

  /** Takes note of what was measured of a segment: for each candidate what one chunk adds to the loss. */
  public void profile(Segment segment, float[] lossPerChunk) {
    segment.profile(lossPerChunk);
    events.accept(new PlacementEvent.Profiled(segment));
  }

  /**
   * Forgets an entry of a chunk, if it is still of this generation; removes segments that thereby become
   * useless.
   */
  public void displace(Position position, int tier, Encoding encoding, long generation) {
    Segment segment = position.segment();
    int index = position.chunk() - segment.firstChunk();
    for (Variant variant : List.copyOf(segment.variants())) {
      boolean same = variant.tier() == tier && variant.encoding().equals(encoding) && variant.has(index);
      if (same && variant.generation(index) == generation) {
        segment.displace(index, variant);
        events.accept(new PlacementEvent.Left(segment, tier));
      }
    }
    prune(segment);
  }

  /** Takes a path in use, or lets go of it: a held segment is not removed for being empty, nor moved. */
  public void hold(Segment last, int count) {
    last.hold(count);
    if (count < 0) {
      prune(last);
    }
  }

  /** Says whether a migration works on a segment; parts split off it meanwhile share the mark. */
  public void markMigrating(Segment segment, int firstChunk, boolean now) {
    for (Segment part = segment; part != null && part.firstChunk() + part.chunks() > firstChunk;
        part = part.above()) {
      part.setMigrating(now);
    }
    if (!now) {
      prune(segment);
    }
  }

  private void prune(Segment from) {
    Segment segment = from;
    while (segment != null && (segment.detached() || useless(segment))) {
      Segment above = segment.above();
      if (!segment.detached()) {
        unlink(segment);
        gone(segment);
      }
      segment = above;
    }
  }

  private static boolean useless(Segment segment) {
    return segment.empty() && !segment.hasChildren() && !segment.busy();
  }

  private void unlink(Segment segment) {
    if (segment.above() != null) {
      segment.above().removeChild(segment);
    } else if (segment.chunks() == 0) {
      roots.remove(segment.root());
    } else {
      removeOrphan(segment);
    }
  }

  private void gone(Segment segment) {
    segment.detach();
    if (segment.chunks() > 0) {
      segments--;
      chunks -= segment.chunks();
      events.accept(new PlacementEvent.Gone(segment));
    }
  }

  /**
   * Removes a chunk and every chunk behind it.
   *
   * @return the segments removed; they keep what they knew of their entries
   */
  public List<Segment> detachFrom(Position position) {
    Segment segment = position.segment();
    int count = position.chunk() - segment.firstChunk();
    if (count > 0) {
      branchAt(new Position(segment, position.chunk() - 1));
      segment = position.segment();
      if (segment.detached()) {
        return List.of();
      }
    }
    Segment above = segment.above();
    unlink(segment);
    List<Segment> removed = detachAll(segment);
    if (above != null) {
      prune(above);
    }
    return removed;
  }

  /**
   * Removes the orphans that belong to a context or may continue it: what they follow is lost, so of those
   * that start behind it nobody can tell.
   */
  public List<Segment> detachOrphans(ChunkKey root, List<ChunkKey> keys) {
    List<Segment> removed = new ArrayList<>();
    for (List<Segment> waiting : List.copyOf(orphans.getOrDefault(root, Map.of()).values())) {
      for (Segment orphan : List.copyOf(waiting)) {
        int first = orphan.firstChunk();
        if (first >= keys.size() || orphan.hasKey(0, keys.get(first))) {
          unlink(orphan);
          removed.addAll(detachAll(orphan));
        }
      }
    }
    return removed;
  }

  /** Removes everything of a namespace. */
  public List<Segment> detachNamespace(ChunkKey root) {
    List<Segment> removed = new ArrayList<>();
    Segment top = roots.remove(root);
    if (top != null) {
      removed.addAll(detachAll(top));
    }
    Map<ChunkKey, List<Segment>> waiting = orphans.remove(root);
    if (waiting != null) {
      waiting.values().forEach(list -> list.forEach(orphan -> removed.addAll(detachAll(orphan))));
    }
    return removed;
  }

  private List<Segment> detachAll(Segment top) {
    List<Segment> removed = new ArrayList<>();
    Deque<Segment> open = new ArrayDeque<>(List.of(top));
    while (!open.isEmpty()) {
      Segment segment = open.pop();
      open.addAll(segment.children());
      gone(segment);
      if (segment.chunks() > 0) {
        removed.add(segment);
      }
    }
    return removed;
  }

  /** Calls back for every segment, a parent before its children. */
  public void forEach(Consumer<Segment> each) {
    Deque<Segment> open = new ArrayDeque<>(roots.values());
    orphans.values().forEach(waiting -> waiting.values().forEach(open::addAll));
    while (!open.isEmpty()) {
      Segment segment = open.pop();
      if (segment.chunks() > 0) {
        each.accept(segment);
      }
      open.addAll(segment.children());
    }
  }
}
