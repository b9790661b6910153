package io.kvcache.placement;

import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.spi.Codings;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.testkit.FakeCodings;
import io.kvcache.testkit.PlacementPolicyContract;
import java.util.List;

/** The other choice of every switch, and no full copies: EvicPress' Algorithm 1. */
class PublishedVariantTest extends PlacementPolicyContract {
  @Override
  protected PlacementPolicy newPolicy() {
    return UtilityPlacement.builder().alpha(0.1)
        .candidates(List.of(Encoding.of(8), Encoding.of(4), Encoding.of(4).keeping(DropMethod.KNORM, 30)))
        .marginal(UtilityPlacement.Marginal.ABSOLUTE).insert(UtilityPlacement.Insert.BEST_QUALITY)
        .frequency(UtilityPlacement.Frequency.RAW).writeCost(0).hysteresis(0).pruneAhead(false).build();
  }

  @Override
  protected Codings codings(long chunkBytes) {
    return FakeCodings.raw(chunkBytes).withCodec(8, chunkBytes / 2, 0.98).withCodec(4, chunkBytes / 4, 0.9);
  }
}
