package io.kvcache.internal.engine;

import io.kvcache.AcquireOptions.Pruned;
import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.internal.engine.Inventory.Acceptance;
import io.kvcache.internal.frame.Codecs;
import io.kvcache.internal.tree.Segment;
import io.kvcache.internal.tree.Stored;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/**
 * What encodings do to a context's answers, as far as it is known: measured for the segment, else the codec's usual
 * quality. What is measured adds up along a path, chunk by chunk; the usual quality is that of a whole context.
 */
final class Qualities {
  /** What measured losses may be off by, since they are kept as floats for a chunk each. */
  private static final double ROUNDING = 1e-6;

  private final Codecs codecs;
  private final List<Encoding> candidates;
  private final Map<Encoding, Integer> indexes = new HashMap<>();

  Qualities(Codecs codecs, List<Encoding> candidates) {
    this.codecs = codecs;
    this.candidates = List.copyOf(candidates);
    for (Encoding candidate : this.candidates) {
      indexes.put(candidate, indexes.size());
    }
  }

  /** The encodings whose quality is measured, in the order of profiles. */
  List<Encoding> candidates() {
    return candidates;
  }

  /** The methods among the candidates that need scores of the engine. */
  Set<DropMethod> scored() {
    return candidates.stream().map(Encoding::dropping).filter(DropMethod::needsScores)
        .collect(Collectors.toUnmodifiableSet());
  }

  /**
   * The tokens that may be missing of what a probe reads: as the candidates drop them, since no others may be of use to
   * the engine.
   */
  Pruned probed() {
    if (candidates.stream().noneMatch(Encoding::dropsTokens)) {
      return Pruned.NONE;
    }
    return candidates.stream().allMatch(Pruned.UNIFORM::accepts) ? Pruned.UNIFORM : Pruned.ANY;
  }

  /** What a chunk encoded so adds to the loss of its context; NaN when nobody measured. */
  double lossPerChunk(Segment segment, Encoding encoding) {
    if (codecs.supports(encoding) && codecs.exact(encoding)) {
      return 0;
    }
    Integer index = indexes.get(encoding);
    float[] losses = segment.lossPerChunk();
    return index == null || losses == null || index >= losses.length ? Double.NaN : losses[index];
  }

  /**
   * Whether an entry of a chunk is worth keeping rather than another in its place: where the other could be made from
   * it, where the other alone lacks tokens, else where it loses no more. Under the inventory's lock.
   */
  boolean atLeastAsGood(Segment segment, Encoding present, Encoding other) {
    if (!codecs.supports(present)) {
      return false;
    }
    boolean coarser = codecs.reencodable(present, other);
    if (coarser || codecs.reencodable(other, present)) {
      return coarser;
    }
    if (other.dropsTokens() && !present.dropsTokens()) {
      return true;
    }
    double loss = lossPerChunk(segment, present);
    double otherLoss = lossPerChunk(segment, other);
    return Double.isNaN(loss) || Double.isNaN(otherLoss)
        ? codecs.nominalQuality(present) >= codecs.nominalQuality(other)
        : loss <= otherLoss;
  }

  /**
   * Entries by which a path keeps at least so much quality.
   *
   * @param least 0 to 1; 1 takes exact bytes only
   * @param pruned which tokens may be missing
   * @param also what else must hold
   */
  Acceptance alongPath(double least, Pruned pruned, Predicate<Stored> also) {
    return new Acceptance() {
      @Override
      public boolean accepts(Segment segment, Stored stored, double lostBefore) {
        return also.test(stored) && pruned.accepts(stored.encoding())
            && sufficient(segment, stored, least, lostBefore + loss(segment, stored));
      }

      @Override
      public double loss(Segment segment, Stored stored) {
        double loss = lossPerChunk(segment, stored.encoding());
        return Double.isNaN(loss) ? 0 : loss;
      }
    };
  }

  /** Entries of at least so much quality, each by itself, with or without all tokens. */
  Acceptance each(double least) {
    return new Acceptance() {
      @Override
      public boolean accepts(Segment segment, Stored stored, double lostBefore) {
        double loss = lossPerChunk(segment, stored.encoding());
        return sufficient(segment, stored, least, loss * segment.chunks());
      }

      @Override
      public double loss(Segment segment, Stored stored) {
        return 0;
      }
    };
  }

  private boolean sufficient(Segment segment, Stored stored, double least, double lost) {
    Encoding encoding = stored.encoding();
    if (!codecs.supports(encoding)) {
      return false;
    }
    if (codecs.exact(encoding) || least == 1) {
      return codecs.exact(encoding);
    }
    // Losses add up to more than there is to lose: then nothing is left, which is enough for who asks for nothing.
    return Double.isNaN(lossPerChunk(segment, encoding))
        ? codecs.nominalQuality(encoding) >= least
        : least == 0 || lost <= 1 - least + ROUNDING;
  }
}
