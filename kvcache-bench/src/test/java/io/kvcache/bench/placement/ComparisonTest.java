package io.kvcache.bench.placement;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.kvcache.bench.serving.CachedModel;
import io.kvcache.bench.serving.Prefilled;
import io.kvcache.bench.serving.RecallProbe;
import io.kvcache.bench.serving.Weights;
import io.kvcache.bench.serving.WorkingSet;
import io.kvcache.bench.task.DocumentGenerator;
import io.kvcache.bench.task.DocumentSize;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What policies that are compared have in common. */
class ComparisonTest {
  private static final DocumentGenerator GENERATOR = new DocumentGenerator(new DocumentSize(200, 260));

  @TempDir
  private Path directory;

  /** Goal: no policy measures for the next one. Method: all is known beforehand, and nobody adds to it. */
  @Test
  void whatPoliciesRestOnIsMeasuredBeforeTheFirst() throws IOException {
    try (CachedModel engine = new CachedModel(Weights.of(null), "test");
        Prefilled first = engine.prefill(GENERATOR.heldOut(1, 0), 1);
        Prefilled second = engine.prefill(GENERATOR.heldOut(1, 1), 1)) {
      List<Prefilled> documents = List.of(first, second);
      RecallProbe probe = new RecallProbe(engine, documents);
      Comparison comparison = new Comparison(engine, documents, directory, probe);
      WorkingSet kv = WorkingSet.of(engine, documents.stream().map(Prefilled::document).toList());
      Setting setting = Setting.ofShares(kv, 1, 1, Throttle.OFF);
      Workload workload = Workload.generate(documents, 4, 0, 1, 1);
      comparison.run(Policy.lru("int4"), setting, workload, done -> {});
      assertEquals(0, probe.measurements(), "LRU rests on none");
      List<Integer> told = new ArrayList<>();
      comparison.measureQualities(told::add);
      assertEquals(List.of(1, 2), told);
      int all = documents.size() * Policy.candidates().size();
      assertEquals(all, probe.measurements());
      for (double alpha : new double[] {20, 0.1}) {
        PolicyResult result = comparison.run(Policy.utility(alpha), setting, workload, done -> {});
        assertEquals(all, probe.measurements(), result::toString);
        assertEquals(0, result.rejected());
      }
      comparison.measureQualities(told::add);
      assertEquals(List.of(1, 2), told, "it is known");
    }
  }
}
