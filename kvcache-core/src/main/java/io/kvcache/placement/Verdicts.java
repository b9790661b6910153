package io.kvcache.placement;

import io.kvcache.spi.Placement;
import io.kvcache.spi.PlacementPolicy.Option;
import io.kvcache.spi.PlacementPolicy.Verdict;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** Every alternative for a segment with its utility, in the form of the papers: {@code (alpha·q − delay) · f}. */
final class Verdicts {
  private static final double MIB = 1 << 20;
  private static final double MILLIS = 1e3;
  private static final Comparator<Option> BEST_FIRST =
      Comparator.comparingDouble((Option option) -> -option.utility())
          .thenComparingLong(Option::bytes)
          .thenComparingInt(option -> option.placement().map(Placement::tier).orElse(Integer.MAX_VALUE));

  private final EncodingTable table;
  private final Delays delays;
  private final Room room;
  private final Uses uses;
  private final Standing standing;
  private final Betterment betterment;
  private final double alpha;

  Verdicts(EncodingTable table, Delays delays, Room room, Uses uses, Standing standing, Betterment betterment,
      double alpha) {
    this.table = table;
    this.delays = delays;
    this.room = room;
    this.uses = uses;
    this.standing = standing;
    this.betterment = betterment;
    this.alpha = alpha;
  }

  /** See {@link io.kvcache.spi.PlacementPolicy#explain}. */
  Verdict of(Node node, long nowNanos) {
    room.look();
    standing.of(node.segment, node.space);
    double frequency = uses.plain(node.segment, nowNanos);
    int chunks = node.segment.chunks();
    List<Option> options = new ArrayList<>();
    double computing = chunks * delays.recomputePerChunk();
    options.add(new Option(Optional.empty(), 0, 1, computing, (alpha - computing) * frequency,
        node.segment.variants().isEmpty()));
    for (int tier = 0; tier < room.tiers(); tier++) {
      for (int as = 0; as < table.size(); as++) {
        boolean present = standing.isAt(tier, as);
        double bytes = chunks * standing.chunkBytes(as);
        if (present || (possible(as) && room.canHold(tier, bytes))) {
          options.add(option(tier, as, (long) bytes, frequency, present));
        }
      }
    }
    options.sort(BEST_FIRST);
    return new Verdict(options, reason(options, nowNanos));
  }

  private boolean possible(int as) {
    int slowest = standing.slowest();
    return as < table.chosen() && slowest >= 0 && standing.source(slowest, as) >= 0;
  }

  private Option option(int tier, int as, long bytes, double frequency, boolean present) {
    double lossSeconds = standing.loss(as);
    double quality = Math.clamp(1 - standing.lossShare(as), 0.0, 1.0);
    double delay = Math.max(0, standing.lossAt(tier, as, standing.segment.chunks()) - lossSeconds);
    return new Option(Optional.of(new Placement(tier, table.encoding(as))), bytes, quality, delay,
        (alpha * quality - delay) * frequency, present);
  }

  private String reason(List<Option> options, long nowNanos) {
    Option best = options.getFirst();
    Option present = options.stream().filter(Option::present).findFirst().orElse(null);
    if (present == null) {
      return "it is stored only in part, or on the move; best would be " + text(best);
    }
    if (best.present()) {
      return text(best) + " is the best of " + options.size() + " alternatives";
    }
    String better = text(present) + "; better would be " + text(best);
    int tier = best.placement().map(Placement::tier).orElse(-1);
    if (tier < 0) {
      return better + ", which is what happens when the room is needed";
    }
    double more = best.bytes() - standing.segment.bytesIn(tier);
    double gain = best.utility() - present.utility();
    double price = room.cost(tier, more) / uses.now(nowNanos);
    double asked = betterment.asked(price, tier, best.bytes());
    if (gain <= asked) {
      return better + ", but " + (price > 0
          ? room.name(tier) + " is full: room there costs " + perMib(price, more) + ", this would gain "
              + perMib(gain, more)
          : String.format(Locale.ROOT, "that would gain %.3g, and writing it has to bring %.3g", gain,
              asked));
    }
    double before = Math.max(0, 1 - 1 / uses.plain(standing.segment, nowNanos));
    return better + String.format(Locale.ROOT, ", which gains %.3g", gain)
        + (gain * before <= asked ? "; without its last use it does not pay yet" : "; it was not done yet");
  }

  private static String perMib(double loss, double bytes) {
    return String.format(Locale.ROOT, "%.3g per MiB", loss / bytes * MIB);
  }

  private String text(Option option) {
    String place = option.placement()
        .map(at -> table.name(table.number(at.encoding())) + " in " + room.name(at.tier()))
        .orElse("not storing it");
    return String.format(Locale.ROOT, "%s (quality %.3f, %.3g ms, utility %.4g)", place, option.quality(),
        option.delaySeconds() * MILLIS, option.utility());
  }
}
