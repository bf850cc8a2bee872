// Command vpa_bench runs the VPA recommender's own packages on a usage file or on synthetic load.
//
// It is the yardstick of `recommender`: `replay` makes the golden outputs that our parity tests compare with,
// `bench` times what one loop of VPA computes, `buckets` prints its bucket boundaries.
package main

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	vpa_types "k8s.io/autoscaler/vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1"
	"k8s.io/autoscaler/vertical-pod-autoscaler/pkg/recommender/logic"
	"k8s.io/autoscaler/vertical-pod-autoscaler/pkg/recommender/model"
)

// options are the recommender flags that change its numbers; names and defaults are VPA's.
type options struct {
	config         logic.RecommendationConfig
	aggregation    time.Duration
	count          int64
	cpuHalfLife    time.Duration
	memHalfLife    time.Duration
	bumpRatio      float64
	bumpBytes      float64
	perPod         int
	roundCPU       int
	roundMemory    int
	containers     int
	minutes        int
	fromCheckpoint string
}

func parse(args []string) (options, []string) {
	var o options
	set := flag.NewFlagSet("vpa_bench", flag.ExitOnError)
	set.Float64Var(&o.config.SafetyMarginFraction, "recommendation-margin-fraction", 0.15, "")
	set.Float64Var(&o.config.PodMinCPUMillicores, "pod-recommendation-min-cpu-millicores", 25, "")
	set.Float64Var(&o.config.PodMinMemoryMb, "pod-recommendation-min-memory-mb", 250, "")
	set.Float64Var(&o.config.TargetCPUPercentile, "target-cpu-percentile", 0.9, "")
	set.Float64Var(&o.config.LowerBoundCPUPercentile, "recommendation-lower-bound-cpu-percentile", 0.5, "")
	set.Float64Var(&o.config.UpperBoundCPUPercentile, "recommendation-upper-bound-cpu-percentile", 0.95, "")
	set.DurationVar(&o.config.ConfidenceIntervalCPU, "confidence-interval-cpu", 24*time.Hour, "")
	set.Float64Var(&o.config.TargetMemoryPercentile, "target-memory-percentile", 0.9, "")
	set.Float64Var(&o.config.LowerBoundMemoryPercentile, "recommendation-lower-bound-memory-percentile", 0.5, "")
	set.Float64Var(&o.config.UpperBoundMemoryPercentile, "recommendation-upper-bound-memory-percentile", 0.95, "")
	set.DurationVar(&o.config.ConfidenceIntervalMemory, "confidence-interval-memory", 24*time.Hour, "")
	set.DurationVar(&o.aggregation, "memory-aggregation-interval", 24*time.Hour, "")
	set.Int64Var(&o.count, "memory-aggregation-interval-count", 8, "")
	set.DurationVar(&o.cpuHalfLife, "cpu-histogram-decay-half-life", 24*time.Hour, "")
	set.DurationVar(&o.memHalfLife, "memory-histogram-decay-half-life", 24*time.Hour, "")
	set.Float64Var(&o.bumpRatio, "oom-bump-up-ratio", 1.2, "")
	set.Float64Var(&o.bumpBytes, "oom-min-bump-up-bytes", 100*1024*1024, "")
	set.IntVar(&o.roundCPU, "round-cpu-millicores", 1, "")
	set.IntVar(&o.roundMemory, "round-memory-bytes", 1, "")
	set.IntVar(&o.perPod, "containers-per-pod", 1, "containers that share the pod's minimum")
	set.IntVar(&o.containers, "containers", 100000, "bench: number of containers")
	set.IntVar(&o.minutes, "minutes", 5, "bench: minutes of samples, one loop each")
	set.StringVar(&o.fromCheckpoint, "from-checkpoints", "", "replay: JSON file of checkpoint statuses by container to start from")
	_ = set.Parse(args)
	return o, set.Args()
}

type row struct {
	at               time.Time
	cpu, memory, oom int64 // -1: no such sample
}

// readUsage returns the rows by container, in file order.
func readUsage(path string) (map[string][]row, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var reader io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if reader, err = gzip.NewReader(file); err != nil {
			return nil, err
		}
	}
	lines := csv.NewReader(reader)
	lines.FieldsPerRecord = -1
	header, err := lines.Read()
	if err != nil {
		return nil, err
	}
	rows := map[string][]row{}
	for {
		line, err := lines.Read()
		if err == io.EOF {
			return rows, nil
		} else if err != nil {
			return nil, err
		}
		seconds, err := strconv.ParseInt(line[1], 10, 64)
		if err != nil {
			return nil, err
		}
		next := row{at: time.Unix(seconds, 0).UTC(), cpu: amount(line[2]), memory: amount(line[3]), oom: -1}
		if len(header) > 4 && len(line) > 4 {
			next.oom = amount(line[4])
		}
		rows[line[0]] = append(rows[line[0]], next)
	}
}

func amount(text string) int64 {
	if text == "" {
		return -1
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return value
}

type aggregate struct {
	state     *model.AggregateContainerState
	container *model.ContainerState
}

func newAggregate() aggregate {
	state := model.NewAggregateContainerState()
	return aggregate{state, model.NewContainerState(model.Resources{}, aggregatorOf{state})}
}

// aggregatorOf is a ContainerStateAggregator that always writes to one state.
type aggregatorOf struct{ *model.AggregateContainerState }

func (a aggregate) add(r row) {
	if r.cpu >= 0 {
		a.container.AddSample(&model.ContainerUsageSample{MeasureStart: r.at, Usage: model.ResourceAmount(r.cpu), Resource: model.ResourceCPU})
	}
	if r.memory >= 0 {
		a.container.AddSample(&model.ContainerUsageSample{MeasureStart: r.at, Usage: model.ResourceAmount(r.memory), Resource: model.ResourceMemory})
	}
	if r.oom >= 0 {
		_ = a.container.RecordOOM(r.at, model.ResourceAmount(r.oom))
	}
}

type amounts struct {
	CPU    int64 `json:"cpu_millicores"`
	Memory int64 `json:"memory_bytes"`
}

type result struct {
	Container  string                                           `json:"container"`
	Samples    int                                              `json:"samples"`
	Target     amounts                                          `json:"target"`
	Lower      amounts                                          `json:"lowerBound"`
	Upper      amounts                                          `json:"upperBound"`
	Checkpoint *vpa_types.VerticalPodAutoscalerCheckpointStatus `json:"checkpoint"`
}

func (o options) amounts(resources model.Resources) amounts {
	list := model.ResourcesAsResourceList(resources, false, o.roundCPU, o.roundMemory)
	return amounts{list.Cpu().MilliValue(), list.Memory().Value()}
}

// recommend is the recommendation of one container among o.perPod like it.
func (o options) recommend(name string, state *model.AggregateContainerState) (result, error) {
	pod := model.ContainerNameToAggregateStateMap{name: state}
	for extra := 1; extra < o.perPod; extra++ {
		pod[fmt.Sprintf("%s/extra%d", name, extra)] = model.NewAggregateContainerState()
	}
	own := logic.CreatePodResourceRecommender(o.config).GetRecommendedPodResources(pod)[name]
	saved, err := state.SaveToCheckpoint()
	return result{name, state.TotalSamplesCount, o.amounts(own.Target), o.amounts(own.LowerBound), o.amounts(own.UpperBound), saved}, err
}

func replay(o options, path string) error {
	rows, err := readUsage(path)
	if err != nil {
		return err
	}
	start := map[string]*vpa_types.VerticalPodAutoscalerCheckpointStatus{}
	if o.fromCheckpoint != "" {
		text, err := os.ReadFile(o.fromCheckpoint)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &start); err != nil {
			return err
		}
	}
	results := []result{}
	for name, own := range rows {
		a := newAggregate()
		if saved, ok := start[name]; ok {
			if err := a.state.LoadFromCheckpoint(saved); err != nil {
				return err
			}
		}
		for _, r := range own {
			a.add(r)
		}
		next, err := o.recommend(name, a.state)
		if err != nil {
			return err
		}
		results = append(results, next)
	}
	sort.Slice(results, func(i, j int) bool { return results[i].Container < results[j].Container })
	return print(results)
}

func print(value any) error {
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", " ")
	return out.Encode(value)
}

type layout interface {
	NumBuckets() int
	GetBucketStart(int) float64
	FindBucket(float64) int
}

// buckets prints the start of every bucket and the least whole amount (millicores, bytes) that falls in it.
func buckets() error {
	config := model.GetAggregationsConfig()
	return print(map[string]any{"cpu": describe(config.CPUHistogramOptions, 1000), "memory": describe(config.MemoryHistogramOptions, 1)})
}

func describe(buckets layout, perUnit float64) map[string]any {
	starts, least := make([]float64, buckets.NumBuckets()), make([]int64, buckets.NumBuckets())
	for i := range starts {
		starts[i] = buckets.GetBucketStart(i)
		least[i] = max(int64(starts[i]*perUnit)-2, 0)
		for buckets.FindBucket(float64(least[i])/perUnit) < i {
			least[i]++
		}
	}
	return map[string]any{"starts": starts, "least": least}
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: vpa_bench replay|bench|buckets [flags] [USAGE]")
		os.Exit(2)
	}
	o, rest := parse(os.Args[2:])
	model.InitializeAggregationsConfig(model.NewAggregationsConfig(o.aggregation, o.count, o.memHalfLife, o.cpuHalfLife, o.bumpRatio, o.bumpBytes))
	var err error
	switch {
	case os.Args[1] == "replay" && len(rest) == 1:
		err = replay(o, rest[0])
	case os.Args[1] == "bench":
		err = bench(o)
	case os.Args[1] == "buckets":
		err = buckets()
	default:
		err = fmt.Errorf("unknown arguments %q", os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
