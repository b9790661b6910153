package io.kvcache.placement;

import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.SegmentView;
import io.kvcache.spi.VariantClass;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.EnumSet;
import java.util.Iterator;
import java.util.List;

/**
 * Finds what would serve a segment better than what it is: a faster tier, or another encoding where it is read from
 * now. It has to pay for the room it takes and for being written, by a margin, with the uses the segment had before
 * the present one: of two segments that are used in turn the one just used is not the one to be used next, and
 * counting its last use they would change places for ever.
 */
final class Betterment {
  private static final int NONE = -1;
  /** Segments remembered that had to make room. */
  private static final int MOST_DISPLACED = 64;

  private final EncodingTable table;
  private final Delays delays;
  private final Room room;
  private final Uses uses;
  private final Scoring scoring;
  private final Planner planner;
  private final double writeCost;
  private final double margin;

  private final Deque<Node> displaced = new ArrayDeque<>();
  private int toTier;
  private int encoding;
  private double best;

  Betterment(EncodingTable table, Delays delays, Room room, Uses uses, Scoring scoring, Planner planner,
      double writeCost, double hysteresis) {
    this.table = table;
    this.delays = delays;
    this.room = room;
    this.uses = uses;
    this.scoring = scoring;
    this.planner = planner;
    this.writeCost = writeCost;
    this.margin = 1 + hysteresis;
  }

  /** What to do for a segment; nothing for most. */
  List<Move> of(Node node, long nowNanos) {
    Standing standing = scoring.standing;
    standing.of(node.segment, node.space);
    if (node.segment.uses() < 2 || standing.slowest() < 0 || !standing.reachable()) {
      return List.of();
    }
    double frequency = uses.of(node.segment, nowNanos, 1);
    best = 0;
    toTier = NONE;
    int asIs = standing.encodingIn(standing.slowest());
    standing.findOptions(standing.slowest());
    for (int tier = 0; tier <= standing.slowest(); tier++) {
      for (int option = 0; option < standing.optionCount; option++) {
        consider(tier, standing.options[option], frequency, nowNanos);
      }
      if (tier < standing.slowest()) {
        consider(tier, asIs, frequency, nowNanos);
      }
    }
    return toTier == NONE ? List.of() : moves();
  }

  /** Remembers a segment that had to make room where it was. */
  void remember(Node node) {
    displaced.remove(node);
    displaced.addLast(node);
    if (displaced.size() > MOST_DISPLACED) {
      displaced.removeFirst();
    }
  }

  /**
   * What to do for one that had to make room, now that there is some: what is new comes in larger than it stays, and
   * what went for it would be back only after its next use. One at a time; its arrival is the occasion for the next.
   */
  List<Move> ofDisplaced(long nowNanos) {
    room.look();
    if (displaced.isEmpty() || room.full(0, 0)) {
      return List.of();
    }
    Node most = null;
    List<Move> moves = List.of();
    double gain = 0;
    for (Iterator<Node> each = displaced.iterator(); each.hasNext();) {
      Node node = each.next();
      if (node.gone || Standing.fastest(node.segment) <= 0) {
        each.remove();
      } else if (!node.segment.busy()) {
        List<Move> found = of(node, nowNanos);
        if (!found.isEmpty() && best > gain && toTier < scoring.standing.slowest()
            && !room.full(toTier, node.segment.chunks() * scoring.standing.chunkBytes(encoding))) {
          most = node;
          moves = found;
          gain = best;
        }
      }
    }
    displaced.remove(most);
    return moves;
  }

  private void consider(int tier, int as, double frequency, long nowNanos) {
    Standing standing = scoring.standing;
    int chunks = standing.segment.chunks();
    double bytes = chunks * standing.chunkBytes(as);
    double gain = frequency * (standing.present() - standing.lossAt(tier, as, chunks));
    // Where no tier has all chunks in a form it can be made of, it cannot be made in one move.
    if (gain <= 0 || standing.isAt(tier, as) || source(as) == NONE || !room.canHold(tier, bytes)) {
      return;
    }
    double now = uses.now(nowNanos);
    double more =
        gain - now * asked(room.cost(tier, bytes - standing.segment.bytesIn(tier)) / now, tier, bytes);
    boolean copyImpossible =
        tier == source(as) && scoring.copyNeeded(tier, as) && scoring.keeper(tier) == NONE;
    if (more > best && !copyImpossible) {
      best = more;
      toTier = tier;
      encoding = as;
    }
  }

  /** What a change has to gain that takes room of this price and is written to a tier, both in uses at present. */
  double asked(double roomPrice, int tier, double bytes) {
    return margin * (roomPrice + writeCost * delays.storeSeconds(tier, bytes));
  }

  /** A source in a lower tier is kept where there is room for it: it can be dropped whenever that is wanted. */
  private List<Move> moves() {
    Standing standing = scoring.standing;
    int source = source(encoding);
    if (source == toTier) {
      return planner.transfer(source, toTier, encoding);
    }
    boolean keep = scoring.copyNeeded(source, encoding) || !room.full(source, 0);
    List<Move> moves = new ArrayList<>(2);
    moves.add(
        new Move.Transfer(standing.segment, source, new Placement(toTier, table.encoding(encoding)), keep));
    if (table.exact(encoding) && standing.servingIn(toTier) > 0) {
      moves.add(new Move.Drop(standing.segment, toTier, EnumSet.of(VariantClass.SERVING)));
    }
    return moves;
  }

  private int source(int as) {
    Standing standing = scoring.standing;
    int slowest = standing.slowest();
    return as < table.chosen() && !standing.allIn(slowest, as) ? standing.source(slowest, as) : slowest;
  }

  /**
   * Whether what is new should be compressed where it is, before someone waits for the room: only in a tier that is
   * full, only when what the room is worth exceeds what is lost by the margin, and only once it was measured. What was
   * compressed can neither be measured any more nor be compressed otherwise, unless exact bytes are kept.
   */
  List<Move> ofNew(Node node, int tier, long nowNanos) {
    room.look();
    if (!room.full(tier, 0) || node.segment.uses() > 1 || node.segment.busy()
        || node.segment.chunksIn(tier) < node.segment.chunks() || !measured(node.segment)) {
      return List.of();
    }
    planner.settle(nowNanos);
    Standing standing = scoring.standing;
    standing.of(node.segment, node.space);
    double frequency = uses.of(node.segment, nowNanos, 0);
    scoring.score(tier, frequency);
    scoring.harden(tier, room.price(tier) * uses.now(nowNanos));
    boolean worth = scoring.kind == Scoring.Kind.IN_PLACE
        && margin * (scoring.cost - frequency * standing.present()) < room.cost(tier, scoring.freed);
    return worth ? planner.transfer(tier, tier, scoring.encoding) : List.of();
  }

  private boolean measured(SegmentView segment) {
    boolean measured = true;
    for (int candidate = 0; candidate < table.candidates(); candidate++) {
      measured &= Space.known(segment.quality(candidate));
    }
    return measured;
  }
}
