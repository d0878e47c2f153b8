import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** What a label may be called: kinds of things, of which there are few. Users, paths and addresses go to the log. */
export type MetricLabel = 'code' | 'endpoint' | 'kind' | 'method' | 'mode' | 'operation' | 'outcome' | 'reason' | 'state' | 'target' | 'task' | 'type';

export interface MetricProps<Label extends MetricLabel> {
  /** With the unit, as Prometheus wants it: `skiff_uploads_total`, `skiff_commit_duration_seconds`. */
  readonly name: `skiff_${string}`;
  readonly help: string;
  readonly labels?: readonly Label[];
}

export type LabelValues<Label extends MetricLabel> = Readonly<Record<Label, string>>;

export interface CounterMetric<Label extends MetricLabel> {
  increment(labels: LabelValues<Label>, by?: number): void;
}
export interface GaugeMetric<Label extends MetricLabel> {
  set(labels: LabelValues<Label>, value: number): void;
}
export interface HistogramMetric<Label extends MetricLabel> {
  observe(labels: LabelValues<Label>, value: number): void;
}

export interface Metrics {
  counter<Label extends MetricLabel = never>(props: MetricProps<Label>): CounterMetric<Label>;
  gauge<Label extends MetricLabel = never>(props: MetricProps<Label>): GaugeMetric<Label>;
  /** A gauge that is asked for its value when it is scraped. */
  sampledGauge(props: MetricProps<never> & { readonly read: () => number }): void;
  /** `buckets`: upper bounds, in the unit of the name. Default: 1 ms to 60 s. */
  histogram<Label extends MetricLabel = never>(props: MetricProps<Label> & { readonly buckets?: readonly number[] }): HistogramMetric<Label>;
  /** Prometheus' text format. */
  text(): Promise<string>;
  readonly contentType: string;
}

const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** Combinations of label values per metric; further ones are counted under `other`, so that no input makes the registry grow. */
const MAX_SERIES = 500;

interface CommonProps {
  readonly name: string;
  readonly help: string;
  readonly labelNames: string[];
  readonly registers: Registry[];
}

/** @param options.defaults also the process's own metrics: memory, CPU, event loop delay. */
export function createMetrics(options: { readonly defaults: boolean }): Metrics {
  const registry = new Registry();
  if (options.defaults) collectDefaultMetrics({ register: registry });
  const common = ({ name, help, labels = [] }: MetricProps<MetricLabel>): CommonProps => ({ name, help, labelNames: [...labels], registers: [registry] });
  return {
    counter(props) {
      const counter = new Counter(common(props));
      const bounded = boundSeries();
      return { increment: (labels, by = 1) => counter.inc(bounded(labels), by) };
    },
    gauge(props) {
      const gauge = new Gauge(common(props));
      const bounded = boundSeries();
      return { set: (labels, value) => gauge.set(bounded(labels), value) };
    },
    sampledGauge({ read, ...props }) {
      new Gauge({
        ...common(props),
        collect() {
          this.set(read());
        },
      });
    },
    histogram(props) {
      const histogram = new Histogram({ ...common(props), buckets: [...(props.buckets ?? DURATION_BUCKETS)] });
      const bounded = boundSeries();
      return { observe: (labels, value) => histogram.observe(bounded(labels), value) };
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function boundSeries(): (labels: Readonly<Record<string, string>>) => Record<string, string> {
  const seen = new Set<string>();
  return (labels) => {
    const key = JSON.stringify(Object.entries(labels).toSorted());
    if (!seen.has(key)) {
      if (seen.size >= MAX_SERIES) return Object.fromEntries(Object.keys(labels).map((name) => [name, 'other']));
      seen.add(key);
    }
    return { ...labels };
  };
}
