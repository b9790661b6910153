package io.kvcache.internal.tree;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.ChunkKey;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Walks a whole tree and fails where its structure is not valid. */
final class TreeInspector {
  private final String at;
  private final int cap;
  private final Map<ChunkKey, Set<ChunkKey>> keysByRoot = new HashMap<>();
  private final Map<ChunkKey, List<Stored>> entries = new HashMap<>();
  private final Set<Segment> segments = new HashSet<>();
  private final Map<ChunkKey, long[]> bytesByRoot = new HashMap<>();
  private int expiring;
  private long chunks;

  /**
   * Inspects.
   *
   * @param cap most chunks a segment may have
   * @param at what failures are to be found by
   */
  TreeInspector(PrefixTree tree, int cap, String at) {
    this.at = at;
    this.cap = cap;
    tree.forEach(this::visit);
    assertEquals(tree.segments(), segments.size(), at);
    assertEquals(tree.chunks(), chunks, at);
    assertEquals(keysByRoot.values().stream().mapToInt(Set::size).sum(), chunks,
        at + ": a chunk is there twice");
    assertEquals(tree.expiring(), expiring, at);
    bytesByRoot.values().removeIf(bytes -> bytes[0] + bytes[1] == 0);
    assertEquals(tree.accounts().size(), bytesByRoot.size(), at + ": accounts");
    bytesByRoot.forEach((root, bytes) -> {
      assertEquals(bytes[0], tree.accounts().storedBytes(root, 0), at);
      assertEquals(bytes[1], tree.accounts().storedBytes(root, 1), at);
    });
  }

  private void visit(Segment segment) {
    assertTrue(segments.add(segment), at + ": visited twice");
    assertFalse(segment.detached(), at);
    assertTrue(segment.chunks() >= 1 && segment.chunks() <= cap, at + ": " + segment.chunks() + " chunks");
    assertFalse(segment.empty() && !segment.hasChildren() && !segment.busy(), at + ": useless, but there");
    chunks += segment.chunks();
    visitPlace(segment);
    for (Segment child : segment.children()) {
      assertSame(segment, child.above(), at);
      assertSame(child, segment.child(child.key(0)), at);
      assertEquals(segment.firstChunk() + segment.chunks(), child.firstChunk(), at);
      assertEquals(segment.key(segment.chunks() - 1), child.previous(), at);
    }
    for (int index = 0; index < segment.chunks(); index++) {
      keysByRoot.computeIfAbsent(segment.root(), root -> new HashSet<>()).add(segment.key(index));
      Position position = new Position(segment, segment.firstChunk() + index);
      assertSame(segment, position.segment(), at);
      if (!position.stored().isEmpty()) {
        entries.put(segment.key(index), position.stored());
      }
    }
    visitVariants(segment);
    assertEquals(segment.expiryMillis(), segment.noticeMillis(), at);
    expiring += segment.expiryMillis() == Stored.NEVER ? 0 : 1;
  }

  private void visitPlace(Segment segment) {
    Segment above = segment.above();
    if (above == null) {
      assertTrue(segment.firstChunk() > 0, at + ": an orphan cannot be the first");
      assertNull(segment.parent(), at);
    } else {
      assertEquals(above.chunks() == 0, segment.parent() == null, at);
      assertEquals(above.chunks() == 0, segment.firstChunk() == 0, at);
      assertEquals(above.root(), segment.root(), at);
      assertTrue(above.leased() || !segment.leased(), at + ": leased below what is not");
    }
  }

  private void visitVariants(Segment segment) {
    long mask = segment.chunks() == 64 ? -1 : (1L << segment.chunks()) - 1;
    Set<List<Object>> encodings = new HashSet<>();
    for (Variant variant : segment.variants()) {
      assertTrue(variant.present() != 0 && (variant.present() & ~mask) == 0, at + ": chunks outside");
      assertTrue(encodings.add(List.of(variant.tier(), variant.encoding())), at + ": one encoding twice");
    }
    for (int tier = 0; tier < 2; tier++) {
      long bytes = 0;
      int count = 0;
      int only = 0;
      for (int index = 0; index < segment.chunks(); index++) {
        List<Stored> all = new Position(segment, segment.firstChunk() + index).stored();
        int here = tier;
        bytes += all.stream().filter(stored -> stored.tier() == here).mapToLong(Stored::bytes).sum();
        boolean present = all.stream().anyMatch(stored -> stored.tier() == here);
        count += present ? 1 : 0;
        only += present && all.stream().allMatch(stored -> stored.tier() == here) ? 1 : 0;
      }
      assertEquals(bytes, segment.bytesIn(tier), at);
      bytesByRoot.computeIfAbsent(segment.root(), root -> new long[2])[tier] += bytes;
      assertEquals(count, segment.chunksIn(tier), at);
      assertEquals(only, segment.chunksOnlyIn(tier), at);
    }
  }

  /** Keys in the tree under {@code root}, orphans included. */
  Set<ChunkKey> keys(ChunkKey root) {
    return keysByRoot.getOrDefault(root, Set.of());
  }

  /** Every chunk that is stored, with its entries. */
  Map<ChunkKey, List<Stored>> entries() {
    return entries;
  }

  Set<Segment> segments() {
    return segments;
  }
}
