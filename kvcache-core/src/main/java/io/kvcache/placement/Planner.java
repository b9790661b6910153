package io.kvcache.placement;

import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.VariantClass;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * Makes room: a heap for each tier says which segment has the cheapest operation there.
 *
 * <p>Keys go stale: what room below costs changes with every operation, delays change now and then. So a segment is
 * scored again when it comes to the top, before its key is taken for the price of room or its operation is planned, and
 * put back when it is not the cheapest. Segments that something
 * happened to wait in a list and are scored once, before the heaps are looked at.
 */
final class Planner {
  /** Scores for each operation; beyond, after delays changed, the order is taken as it is. */
  private static final int RESCORES = 32;
  /** Scores for what room costs, each time it is asked: it gets truer from one to the next. */
  private static final int REFRESHES = 2;
  /** A key is as good as the least when it exceeds it by no more: prices are no better known than that. */
  private static final double SLACK = 0.05;

  private final Room room;
  private final Scoring scoring;
  private final Uses uses;
  private final EncodingTable table;
  private final List<Node> waiting = new ArrayList<>();
  /** The tier whose top was scored again last. */
  private int refreshed;

  /** An operation planned, which a harder one on the same segment replaces. */
  private record Planned(Node node, List<Move> moves, double cost, double freed) {}

  Planner(Room room, Scoring scoring, Uses uses, EncodingTable table) {
    this.room = room;
    this.scoring = scoring;
    this.uses = uses;
    this.table = table;
  }

  /** Has a segment scored before the next decision. */
  void touch(Node node) {
    if (node != null && !node.waiting && !node.gone) {
      node.waiting = true;
      waiting.add(node);
    }
  }

  /**
   * Something of a segment left a tier: when that was planned, and was all, the room was paid for.
   *
   * @return whether it made room by going
   */
  boolean left(Node node, int tier) {
    boolean planned =
        node != null && !node.yieldsInPlace && node.segment.chunksIn(tier) == 0 && pay(node, tier);
    touch(node);
    return planned;
  }

  /** Something of a segment came into a tier: when it was to be compressed there, the room was paid for. */
  void placed(Node node, int tier) {
    if (node.yieldsInPlace) {
      pay(node, tier);
    }
    touch(node);
  }

  private boolean pay(Node node, int tier) {
    boolean due = node.yields == tier;
    if (due) {
      room.pay(tier, node.yieldsFor);
      node.yields = Node.NOWHERE;
    }
    return due;
  }

  /** Forgets a segment that is no more. */
  void forget(Node node) {
    node.gone = true;
    for (int tier = 0; tier < room.tiers(); tier++) {
      room.heaps.get(tier).remove(node);
    }
  }

  /** Scores what waits for it. */
  void settle(long nowNanos) {
    room.look();
    uses.rebase(room.heaps, nowNanos);
    for (Node node : waiting) {
      node.waiting = false;
      if (!node.gone) {
        settle(node, nowNanos);
      }
    }
    waiting.clear();
    refreshed = (refreshed + 1) % room.tiers();
    refreshTop(refreshed, nowNanos);
  }

  /**
   * What room costs is the key on top of a heap, which went stale with delays, quality and room below. One tier at a
   * time: all of them, at each decision, took as long as the decision.
   */
  private void refreshTop(int tier, long nowNanos) {
    IndexedHeap heap = room.heaps.get(tier);
    Node top = null;
    for (int rescores = REFRESHES; rescores > 0 && heap.top() != top; rescores--) {
      top = heap.top();
      score(top, tier, nowNanos, null);
      heap.put(top, scoring.key);
    }
  }

  private void settle(Node node, long nowNanos) {
    boolean turned = false;
    double frequency = 0;
    for (int tier = room.tiers() - 1; tier >= 0; tier--) {
      long bytes = node.segment.bytesIn(tier);
      if (bytes == 0) {
        room.heaps.get(tier).remove(node);
      } else {
        if (!turned) {
          scoring.standing.of(node.segment, node.space);
          frequency = uses.of(node.segment, nowNanos, 0);
          turned = true;
        }
        scoring.score(tier, frequency);
        room.heaps.get(tier).put(node, scoring.key);
      }
    }
  }

  /** See {@link io.kvcache.spi.PlacementPolicy#plan}. */
  List<Move> plan(int tier, long bytes, long nowNanos) {
    settle(nowNanos);
    IndexedHeap heap = room.heaps.get(tier);
    List<Planned> planned = new ArrayList<>();
    List<Node> aside = new ArrayList<>();
    double freed = 0;
    int rescores = RESCORES;
    while (freed < bytes && heap.topKey() < Double.POSITIVE_INFINITY) {
      Node node = heap.top();
      int before = node.planned;
      boolean free = !node.segment.busy();
      if (free) {
        score(node, tier, nowNanos, before < 0 ? null : planned.get(before));
        heap.put(node, scoring.key);
        if (scoring.kind == Scoring.Kind.NOTHING || (dearer(scoring.key, heap) && rescores-- > 0)) {
          continue;
        }
        rescores += RESCORES;
        double unit = uses.now(nowNanos);
        if (scoring.kind == Scoring.Kind.IN_PLACE) {
          scoring.harden(tier, room.price(tier) * unit);
        }
        node.yields = tier;
        node.yieldsInPlace = scoring.kind == Scoring.Kind.IN_PLACE;
        node.yieldsFor = scoring.key / unit;
        freed += scoring.freed - (before < 0 ? 0 : planned.get(before).freed);
        Planned now = new Planned(node, moves(tier), scoring.cost, scoring.freed);
        if (before >= 0) {
          planned.set(before, now);
        } else {
          node.planned = planned.size();
          planned.add(now);
        }
        if (freed < bytes && scoring.kind == Scoring.Kind.IN_PLACE) {
          // The papers' loop goes on with the segment as it would be then.
          score(node, tier, nowNanos, now);
          heap.put(node, scoring.key);
          continue;
        }
      }
      heap.remove(node);
      aside.add(node);
    }
    aside.forEach(this::touch);
    for (Planned each : planned) {
      each.node.planned = Node.NOWHERE;
      touch(each.node);
    }
    return planned.stream().flatMap(each -> each.moves.stream()).toList();
  }

  private static boolean dearer(double key, IndexedHeap heap) {
    return key > heap.topKey() + SLACK * Math.abs(heap.topKey());
  }

  private void score(Node node, int tier, long nowNanos, Planned before) {
    scoring.standing.of(node.segment, node.space);
    double frequency = uses.of(node.segment, nowNanos, 0);
    if (before == null) {
      scoring.score(tier, frequency);
    } else {
      scoring.score(tier, frequency, before.cost, before.freed);
    }
  }

  /** The operation just found, as moves. */
  private List<Move> moves(int tier) {
    return switch (scoring.kind) {
      case NOTHING -> List.of();
      case DROP -> List.of(drop(tier));
      case DROP_FULL ->
          List.of(new Move.Drop(scoring.standing.segment, tier, EnumSet.of(VariantClass.FULL)));
      case IN_PLACE, MOVE -> transfer(tier, scoring.toTier, scoring.encoding);
    };
  }

  /** Of a tier that has only full copies just these go: the lossy ones elsewhere are to stay. */
  private Move drop(int tier) {
    Standing standing = scoring.standing;
    boolean fullOnly =
        standing.servingIn(tier) == 0 && standing.fullTier() == tier && standing.slowest() < tier;
    Set<VariantClass> classes = fullOnly ? EnumSet.of(VariantClass.FULL) : EnumSet.allOf(VariantClass.class);
    return new Move.Drop(standing.segment, tier, classes);
  }

  /** Gets what is in {@code tier} into another placement, after a copy of exact bytes where one is to be kept. */
  List<Move> transfer(int tier, int to, int as) {
    Standing standing = scoring.standing;
    List<Move> moves = new ArrayList<>(2);
    if (scoring.copyNeeded(tier, as)) {
      moves.add(new Move.Transfer(standing.segment, tier,
          new Placement(scoring.keeper(to), table.encoding(standing.encodingIn(tier))), true));
    }
    int source = to == tier ? standing.source(tier, as) : tier;
    moves.add(
        new Move.Transfer(standing.segment, source, new Placement(to, table.encoding(as)), source != tier));
    return moves;
  }
}
