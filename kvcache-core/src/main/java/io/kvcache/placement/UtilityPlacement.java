package io.kvcache.placement;

import io.kvcache.ChunkKey;
import io.kvcache.Encoding;
import io.kvcache.spi.Move;
import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementEvent;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.spi.SegmentView;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * One utility chooses for each segment how hard to compress it, by which method, and which tier holds it, or that it
 * is not stored: {@code (alpha · quality − delay) · frequency}, as in EvicPress (Feng et al., 2025) and AdaptCache
 * (Feng et al., 2025).
 *
 * <p>What is added up is the loss, {@code frequency · (alpha · (1 − quality) + delay)}; computing anew is a choice
 * like the others, with quality 1 and a delay of its own. New KV goes where it loses least, or nowhere when storing it
 * does not pay. When a tier is full, the operations with the least loss for each byte they free are applied: compress
 * harder in place, move to a lower tier in any encoding, drop. A hit moves a segment up when that pays.
 *
 * <p>It is rebuilt from events alone. Each cache needs one of its own.
 */
public final class UtilityPlacement implements PlacementPolicy {
  /*
   * How it works. Standing says how a segment is stored and what a use of it loses; Scoring finds its cheapest
   * operation in a tier; a heap for each tier (Planner) has the cheapest of all on top, its key being the marginal
   * loss. Room in a tier that is full costs what has to go from there, which is the key on top of its heap times the
   * bytes: the recursion of EvicPress to the next tier, priced instead of carried out. The same price decides on
   * admission and promotion, so that what comes and what goes are weighed on one scale.
   *
   * A loss is a sum over chunks, and a tier's fixed delay is charged once on a path: to the first segment of a run
   * that is read from this tier. So splitting a segment changes no sum. The fixed part of computing is charged to
   * nobody: an engine computes at least the last token of every prompt.
   *
   * A segment that no look-up can come to, since what it continues is lost, has no uses and goes first. A parent is
   * dropped only after its children, or where another tier has it too. That a child may come to pay the fixed part
   * when its parent moves is noticed when the child is scored next.
   */
  private final Builder choice;
  private final List<Encoding> candidates;
  private final Map<SegmentView, Node> nodes = new IdentityHashMap<>();
  private final Spaces spaces;
  private int tiers;
  private EncodingTable table;
  private Delays delays;
  private Uses uses;
  private Room room;
  private Standing standing;
  private Planner planner;
  private Betterment betterment;
  private Admission admission;
  private Verdicts verdicts;

  /** How operations are compared. */
  public enum Marginal {
    /** By loss for each byte freed, as AdaptCache and the simulator of EvicPress' author do. */
    PER_BYTE,
    /** By loss alone: EvicPress, Algorithm 1. */
    ABSOLUTE
  }

  /** Where new KV goes. */
  public enum Insert {
    /** To the configuration of highest utility: EvicPress 4.4. */
    BEST_UTILITY,
    /**
     * Exact at first, as in EvicPress, Algorithm 1, and where it will have the highest utility: only what is exact can
     * be measured, and then be made into whatever is best for it.
     */
    BEST_QUALITY
  }

  /** What is taken for the number of future uses. */
  public enum Frequency {
    /** Past uses, each counting half after the cache's half-life: AdaptCache's prototype. */
    DECAYED,
    /** Past uses: both papers. */
    RAW
  }

  /** Collects the settings of a policy; the defaults are those of the papers where they name one. */
  public static final class Builder {
    private double alpha = 1;
    private List<Encoding> candidates = List.of();
    private List<Integer> lossless = List.of();
    private Marginal marginal = Marginal.PER_BYTE;
    private Insert insert = Insert.BEST_UTILITY;
    private Frequency frequency = Frequency.DECAYED;
    private boolean keepFull;
    private double writeCost = 1;
    private double hysteresis = 0.25;
    private boolean pruneAhead = true;

    private Builder() {}

    /**
     * Sets what quality is worth: seconds of delay accepted to keep the whole of it; 1 unless given, as in EvicPress'
     * figure 11.
     */
    public Builder alpha(double secondsPerUnitOfQuality) {
      alpha = requireFinite(secondsPerUnitOfQuality, "alpha");
      return this;
    }

    /** Sets the lossy encodings it may choose, besides raw; none unless given. */
    public Builder candidates(List<Encoding> encodings) {
      candidates = List.copyOf(encodings);
      return this;
    }

    /** Sets the lossless codecs it may choose, besides raw; none unless given. */
    public Builder lossless(int... codecs) {
      lossless = Arrays.stream(codecs).boxed().toList();
      return this;
    }

    /** Sets how operations are compared; {@link Marginal#PER_BYTE} unless given. */
    public Builder marginal(Marginal by) {
      marginal = Objects.requireNonNull(by, "marginal");
      return this;
    }

    /** Sets where new KV goes; {@link Insert#BEST_UTILITY} unless given. */
    public Builder insert(Insert at) {
      insert = Objects.requireNonNull(at, "insert");
      return this;
    }

    /** Sets what is taken for the number of future uses; {@link Frequency#DECAYED} unless given. */
    public Builder frequency(Frequency count) {
      frequency = Objects.requireNonNull(count, "frequency");
      return this;
    }

    /**
     * Sets whether exact bytes are kept in a lower tier when a segment is first encoded lossily, as AdaptCache's
     * prototype and VeriCache do; they are not unless asked for.
     */
    public Builder keepFull(boolean keep) {
      keepFull = keep;
      return this;
    }

    /**
     * Sets how many seconds of delay for users a second of writing is worth, on admission and promotion; 1 unless
     * given, 0 for writing that costs nothing, as in the papers.
     */
    public Builder writeCost(double weight) {
      writeCost = requireFinite(weight, "writeCost");
      return this;
    }

    /** Sets the share by which a change must pay more than it costs; 0.25 unless given, 0 in the papers. */
    public Builder hysteresis(double share) {
      hysteresis = requireFinite(share, "hysteresis");
      return this;
    }

    /**
     * Sets whether a segment is pruned at once as far as pays at the price that room had of late, since it cannot be
     * pruned once more; it is unless told otherwise, and is not in the papers, whose segments can.
     */
    public Builder pruneAhead(boolean ahead) {
      pruneAhead = ahead;
      return this;
    }

    private static double requireFinite(double value, String name) {
      if (!(value >= 0 && value < Double.POSITIVE_INFINITY)) {
        throw new IllegalArgumentException(name + " is " + value + ", must be finite and at least 0");
      }
      return value;
    }

    /** A policy with these settings. */
    public UtilityPlacement build() {
      Builder copy = new Builder();
      copy.alpha = alpha;
      copy.candidates = candidates;
      copy.lossless = lossless;
      copy.marginal = marginal;
      copy.insert = insert;
      copy.frequency = frequency;
      copy.keepFull = keepFull;
      copy.writeCost = writeCost;
      copy.hysteresis = hysteresis;
      copy.pruneAhead = pruneAhead;
      return new UtilityPlacement(copy);
    }
  }

  private UtilityPlacement(Builder choice) {
    this.choice = choice;
    this.candidates = choice.candidates;
    this.spaces = new Spaces(candidates.size());
  }

  /** Settings to be changed. */
  public static Builder builder() {
    return new Builder();
  }

  @Override
  public void start(CacheInfo cache) {
    if (table != null) {
      throw new IllegalStateException("the policy was started before; each cache needs one of its own");
    }
    tiers = cache.tiers().size();
    table = new EncodingTable(cache.codings(), choice.lossless, candidates);
    delays = new Delays(table, tiers, cache.chunkTokens());
    uses = new Uses(choice.frequency == Frequency.DECAYED, cache.frequencyHalfLifeNanos());
    boolean perByte = choice.marginal == Marginal.PER_BYTE;
    room = new Room(List.copyOf(cache.tiers()), perByte, choice.pruneAhead);
    standing = new Standing(table, delays, choice.alpha, tiers);
    Scoring scoring = new Scoring(table, room, standing, perByte, choice.keepFull);
    planner = new Planner(room, scoring, uses, table);
    betterment =
        new Betterment(table, delays, room, uses, scoring, planner, choice.writeCost, choice.hysteresis);
    admission = new Admission(table, delays, room, uses, choice.alpha, choice.writeCost,
        choice.insert == Insert.BEST_QUALITY, choice.keepFull);
    verdicts = new Verdicts(table, delays, room, uses, standing, betterment, choice.alpha);
  }

  @Override
  public List<Encoding> candidates() {
    return candidates;
  }

  @Override
  public boolean weighsDelays() {
    return true;
  }

  @Override
  public Optional<Placement> admit(ChunkKey root, SegmentView parent, int chunks, long nowNanos) {
    planner.settle(nowNanos);
    Space space = spaces.of(root);
    Optional<Placement> placement = admission.of(space, parent, chunks, nowNanos);
    if (placement.isEmpty()) {
      space.fade();
    }
    return placement;
  }

  @Override
  public List<Move> on(PlacementEvent event, long nowNanos) {
    return switch (event) {
      case PlacementEvent.Placed(SegmentView segment, int tier) -> placed(segment, tier, nowNanos);
      case PlacementEvent.Left(SegmentView segment, int tier) -> {
        if (planner.left(nodes.get(segment), tier)) {
          betterment.remember(nodes.get(segment));
        }
        yield List.of();
      }
      case PlacementEvent.Split(SegmentView upper, SegmentView lower) -> split(upper, lower);
      case PlacementEvent.Gone(SegmentView segment) -> gone(segment);
      case PlacementEvent.Hit(List<? extends SegmentView> path) -> hit(path, nowNanos);
      case PlacementEvent.Profiled(SegmentView segment) -> profiled(segment, nowNanos);
      case PlacementEvent.LoadDelay(int tier, Encoding encoding, var line) -> {
        delays.load(tier, table.number(encoding), line);
        yield List.of();
      }
      case PlacementEvent.StoreDelay(int tier, var line) -> {
        delays.store(tier, line);
        yield List.of();
      }
      case PlacementEvent.RecomputeDelay(var line) -> {
        delays.recompute(line);
        yield List.of();
      }
    };
  }

  private List<Move> placed(SegmentView segment, int tier, long nowNanos) {
    Node node = nodes.get(segment);
    if (node == null) {
      node = add(segment);
      node.reused = segment.uses() > 1;
      node.space.created(node.reused);
      node.space.context(segment.firstChunk() + segment.chunks());
      node.space.profiled(segment);
    }
    node.space.scored(segment);
    planner.placed(node, tier);
    for (var variant : segment.variants()) {
      if (variant.tier() == tier && variant.chunks() > 0) {
        table.stored(table.number(variant.encoding()), (double) variant.bytes() / variant.chunks());
      }
    }
    List<Move> moves = betterment.ofNew(node, tier, nowNanos);
    boolean whole = segment.chunksIn(tier) == segment.chunks();
    return moves.isEmpty() && whole ? betterment.ofDisplaced(nowNanos) : moves;
  }

  private Node add(SegmentView segment) {
    Node node = new Node(segment, spaces.enter(segment.root()), tiers);
    nodes.put(segment, node);
    return node;
  }

  private List<Move> split(SegmentView upper, SegmentView lower) {
    Node whole = nodes.get(lower);
    if (whole != null && !nodes.containsKey(upper)) {
      Node node = add(upper);
      node.reused = whole.reused;
      node.space.created(node.reused);
      planner.touch(node);
      planner.touch(whole);
    }
    return List.of();
  }

  private List<Move> gone(SegmentView segment) {
    Node node = nodes.remove(segment);
    if (node != null) {
      planner.forget(node);
      spaces.leave(segment.root(), node.space);
    }
    if (segment.parent() != null) {
      planner.touch(nodes.get(segment.parent()));
    }
    return List.of();
  }

  private List<Move> hit(List<? extends SegmentView> path, long nowNanos) {
    List<Move> moves = new ArrayList<>();
    for (SegmentView segment : path) {
      Node node = nodes.get(segment);
      if (node != null) {
        planner.touch(node);
        node.yields = Node.NOWHERE;
        if (!node.reused) {
          node.reused = true;
          node.space.reused();
        }
      }
    }
    if (!path.isEmpty() && nodes.containsKey(path.getLast())) {
      SegmentView last = path.getLast();
      nodes.get(last).space.context(last.firstChunk() + last.chunks());
    }
    planner.settle(nowNanos);
    for (SegmentView segment : path) {
      Node node = nodes.get(segment);
      if (node != null) {
        moves.addAll(betterment.of(node, nowNanos));
      }
    }
    return moves;
  }

  private List<Move> profiled(SegmentView segment, long nowNanos) {
    Node node = nodes.get(segment);
    if (node == null) {
      return List.of();
    }
    node.space.profiled(segment);
    planner.touch(node);
    planner.settle(nowNanos);
    int tier = Standing.fastest(segment);
    List<Move> moves = betterment.of(node, nowNanos);
    return moves.isEmpty() && tier >= 0 ? betterment.ofNew(node, tier, nowNanos) : moves;
  }

  @Override
  public List<Move> plan(int tier, long bytes, long nowNanos) {
    return planner.plan(tier, bytes, nowNanos);
  }

  @Override
  public Encoding persistAs(SegmentView segment, int tier) {
    room.look();
    standing.of(segment, node(segment).space);
    int from = standing.fullTier() >= 0 ? standing.fullTier() : standing.slowest();
    int best = from < 0 ? 0 : standing.encodingIn(from);
    double frequency = segment.uses() > 0 ? uses.of(segment, segment.lastUseNanos(), 0) : 0;
    double least = Double.POSITIVE_INFINITY;
    for (int as = 0; as < table.chosen(); as++) {
      boolean allowed = from >= 0 && standing.source(from, as) >= 0
          && (table.exact(as) || !choice.keepFull || standing.fullTier() < 0);
      double bytes = segment.chunks() * standing.chunkBytes(as);
      if (allowed && room.canHold(tier, bytes)) {
        double loss = frequency * standing.lossAt(tier, as, segment.chunks()) + room.cost(tier, bytes);
        if (loss < least) {
          least = loss;
          best = as;
        }
      }
    }
    return table.encoding(best);
  }

  @Override
  public Verdict explain(SegmentView segment, long nowNanos) {
    return verdicts.of(node(segment), nowNanos);
  }

  /** What is kept of a segment; of one it was never told of as much as the segment itself says. */
  private Node node(SegmentView segment) {
    Node known = nodes.get(segment);
    return known != null ? known : new Node(segment, spaces.peek(segment.root()), tiers);
  }
}
