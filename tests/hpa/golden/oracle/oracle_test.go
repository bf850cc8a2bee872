// Package oracle asks the HPA controller of Kubernetes itself what it decides.
//
// It reads scenarios (one JSON object per line, see ../generate.py) from the file named by SCENARIOS, runs each through
// the controller's own reconcileAutoscaler with its own defaults, under virtual time (testing/synctest), and writes one
// line of answers per scenario to the file named by ANSWERS. No cluster, no network, no waiting.
package oracle

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"
	_ "unsafe" // for go:linkname

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	autoscalingclient "k8s.io/client-go/kubernetes/typed/autoscaling/v2"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	scaleclient "k8s.io/client-go/scale"
	"k8s.io/client-go/tools/cache"
	defaults "k8s.io/kubernetes/pkg/apis/autoscaling/v2"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	metricsclient "k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
)

//go:linkname reconcile k8s.io/kubernetes/pkg/controller/podautoscaler.(*HorizontalController).reconcileAutoscaler
func reconcile(c *podautoscaler.HorizontalController, ctx context.Context, hpa *autoscaling.HorizontalPodAutoscaler, key string) error

//go:linkname enqueue k8s.io/kubernetes/pkg/controller/podautoscaler.(*HorizontalController).enqueueHPA
func enqueue(c *podautoscaler.HorizontalController, obj interface{})

type metricIn struct {
	Source, Name, Type, Container string
	Value                         int64
}

type rulesIn struct {
	Window    *int32
	Select    *string
	Policies  [][]any
	Tolerance *int64 // thousandths
}

type scenario struct {
	Spec struct {
		Min      *int32
		Max      int32
		Metrics  []metricIn
		Behavior *struct{ Up, Down *rulesIn }
	}
	Steps []step
}

type step struct {
	After    float64 // s since the step before
	Scale    *[2]int32
	Pods     []podIn
	Observed []observedIn
	Min      *int32 // from now on
}

type podIn struct {
	Name, Phase string
	Deleted     bool
	Start       *float64 // s, relative to now
	Ready       string   // of the condition; empty: no condition
	Since       float64  // s, relative to now
	Requests    map[string]map[string]int64
	Whole       map[string]int64 // pod-level requests
}

type observedIn struct {
	Pods     map[string][3]float64 // milli, time relative to now, window s
	Object   *int64
	External []int64
	Invalid  string
}

type answer struct {
	Desired    int32       `json:"desired"`
	Rescaled   bool        `json:"rescaled"`
	Conditions [][3]string `json:"conditions"`
	Current    [][2]*int64 `json:"current"` // per metric: milli value, utilization %
}

// world stands in for everything that the controller talks to.
type world struct {
	scale    *autoscalingv1.Scale
	updated  bool
	status   *autoscaling.HorizontalPodAutoscaler
	metrics  []metricIn
	observed []observedIn
	autoscalingclient.HorizontalPodAutoscalerInterface
}

// events takes the controller's events and forgets them.
type events struct{ coreclient.EventInterface }

func (w *world) Scales(string) scaleclient.ScaleInterface { return (*scales)(w) }
func (w *world) Events(string) coreclient.EventInterface  { return events{} }
func (w *world) HorizontalPodAutoscalers(string) autoscalingclient.HorizontalPodAutoscalerInterface {
	return w
}
func (w *world) UpdateStatus(_ context.Context, hpa *autoscaling.HorizontalPodAutoscaler, _ metav1.UpdateOptions) (*autoscaling.HorizontalPodAutoscaler, error) {
	w.status = hpa.DeepCopy()
	return hpa, nil
}
func (events) CreateWithEventNamespace(e *v1.Event) (*v1.Event, error) {
	return e, nil
}
func (events) PatchWithEventNamespace(e *v1.Event, _ []byte) (*v1.Event, error) {
	return e, nil
}

type scales world

func (s *scales) Get(context.Context, schema.GroupResource, string, metav1.GetOptions) (*autoscalingv1.Scale, error) {
	return s.scale.DeepCopy(), nil
}
func (s *scales) Update(_ context.Context, _ schema.GroupResource, scale *autoscalingv1.Scale, _ metav1.UpdateOptions) (*autoscalingv1.Scale, error) {
	s.scale, s.updated = scale.DeepCopy(), true
	return scale, nil
}
func (s *scales) Patch(context.Context, schema.GroupVersionResource, string, types.PatchType, []byte, metav1.PatchOptions) (*autoscalingv1.Scale, error) {
	return nil, errors.New("the controller does not patch scales")
}

func (w *world) find(name string) (observedIn, error) {
	for i, m := range w.metrics {
		if m.Name == name {
			o := w.observed[i]
			if o.Invalid != "" {
				return o, errors.New(o.Invalid)
			}
			return o, nil
		}
	}
	return observedIn{}, fmt.Errorf("no metric %q", name)
}

func (w *world) podValues(name string) (metricsclient.PodMetricsInfo, time.Time, error) {
	o, err := w.find(name)
	if err != nil {
		return nil, time.Time{}, err
	}
	if len(o.Pods) == 0 { // the REST client's own rule
		return nil, time.Time{}, errors.New("no metrics returned")
	}
	out := metricsclient.PodMetricsInfo{}
	for pod, v := range o.Pods {
		out[pod] = metricsclient.PodMetric{Value: int64(v[0]), Timestamp: at(v[1]), Window: seconds(v[2])}
	}
	return out, time.Now(), nil
}

func (w *world) GetResourceMetric(_ context.Context, r v1.ResourceName, _ string, _ labels.Selector, _ string) (metricsclient.PodMetricsInfo, time.Time, error) {
	return w.podValues(string(r))
}
func (w *world) GetRawMetric(name string, _ string, _ labels.Selector, _ labels.Selector) (metricsclient.PodMetricsInfo, time.Time, error) {
	return w.podValues(name)
}
func (w *world) GetObjectMetric(name string, _ string, _ *autoscaling.CrossVersionObjectReference, _ labels.Selector) (int64, time.Time, error) {
	o, err := w.find(name)
	if err != nil {
		return 0, time.Time{}, err
	}
	return *o.Object, time.Now(), nil
}
func (w *world) GetExternalMetric(name, _ string, _ labels.Selector) ([]int64, time.Time, error) {
	o, err := w.find(name)
	if err == nil && len(o.External) == 0 {
		err = errors.New("no metrics returned")
	}
	return o.External, time.Now(), err
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
func at(relative float64) time.Time   { return time.Now().Add(seconds(relative)) }

func metricSpec(m metricIn) autoscaling.MetricSpec {
	spec := autoscaling.MetricSpec{Type: autoscaling.MetricSourceType(m.Source)}
	target := autoscaling.MetricTarget{Type: autoscaling.MetricTargetType(m.Type)}
	quantity := resource.NewMilliQuantity(m.Value, resource.DecimalSI)
	switch target.Type {
	case autoscaling.UtilizationMetricType:
		percent := int32(m.Value)
		target.AverageUtilization = &percent
	case autoscaling.AverageValueMetricType:
		target.AverageValue = quantity
	default:
		target.Value = quantity
	}
	id := autoscaling.MetricIdentifier{Name: m.Name}
	switch m.Source {
	case "Resource":
		spec.Resource = &autoscaling.ResourceMetricSource{Name: v1.ResourceName(m.Name), Target: target}
	case "ContainerResource":
		spec.ContainerResource = &autoscaling.ContainerResourceMetricSource{Name: v1.ResourceName(m.Name), Container: m.Container, Target: target}
	case "Pods":
		spec.Pods = &autoscaling.PodsMetricSource{Metric: id, Target: target}
	case "Object":
		spec.Object = &autoscaling.ObjectMetricSource{Metric: id, Target: target, DescribedObject: autoscaling.CrossVersionObjectReference{Kind: "Service", Name: "web"}}
	case "External":
		spec.External = &autoscaling.ExternalMetricSource{Metric: id, Target: target}
	}
	return spec
}

func rules(in *rulesIn) *autoscaling.HPAScalingRules {
	if in == nil {
		return nil
	}
	out := &autoscaling.HPAScalingRules{StabilizationWindowSeconds: in.Window}
	if in.Select != nil {
		selected := autoscaling.ScalingPolicySelect(*in.Select)
		out.SelectPolicy = &selected
	}
	if in.Tolerance != nil {
		out.Tolerance = resource.NewMilliQuantity(*in.Tolerance, resource.DecimalSI)
	}
	for _, p := range in.Policies {
		out.Policies = append(out.Policies, autoscaling.HPAScalingPolicy{
			Type: autoscaling.HPAScalingPolicyType(p[0].(string)), Value: int32(p[1].(float64)), PeriodSeconds: int32(p[2].(float64))})
	}
	return out
}

func resources(milli map[string]int64) v1.ResourceList {
	out := v1.ResourceList{}
	for name, value := range milli {
		out[v1.ResourceName(name)] = *resource.NewMilliQuantity(value, resource.DecimalSI)
	}
	return out
}

func pod(in podIn, namespace string) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: in.Name, Namespace: namespace, Labels: map[string]string{"app": "web"}},
		Status: v1.PodStatus{Phase: v1.PodPhase(in.Phase)}}
	if in.Deleted {
		now := metav1.Now()
		p.DeletionTimestamp = &now
	}
	if in.Start != nil {
		start := metav1.NewTime(at(*in.Start))
		p.Status.StartTime = &start
	}
	if in.Ready != "" {
		p.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionStatus(in.Ready), LastTransitionTime: metav1.NewTime(at(in.Since))}}
	}
	for name, requests := range in.Requests {
		p.Spec.Containers = append(p.Spec.Containers, v1.Container{Name: name, Resources: v1.ResourceRequirements{Requests: resources(requests)}})
	}
	if in.Whole != nil {
		p.Spec.Resources = &v1.ResourceRequirements{Requests: resources(in.Whole)}
	}
	return p
}

func hpaOf(s *scenario, namespace string) *autoscaling.HorizontalPodAutoscaler {
	hpa := &autoscaling.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: namespace}}
	hpa.Spec = autoscaling.HorizontalPodAutoscalerSpec{MinReplicas: s.Spec.Min, MaxReplicas: s.Spec.Max,
		ScaleTargetRef: autoscaling.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}}
	for _, m := range s.Spec.Metrics {
		hpa.Spec.Metrics = append(hpa.Spec.Metrics, metricSpec(m))
	}
	if b := s.Spec.Behavior; b != nil {
		hpa.Spec.Behavior = &autoscaling.HorizontalPodAutoscalerBehavior{ScaleUp: rules(b.Up), ScaleDown: rules(b.Down)}
	}
	defaults.SetDefaults_HorizontalPodAutoscaler(hpa)
	return hpa
}

func value(s autoscaling.MetricStatus) (out [2]*int64) {
	var current autoscaling.MetricValueStatus
	switch {
	case s.Resource != nil:
		current = s.Resource.Current
	case s.ContainerResource != nil:
		current = s.ContainerResource.Current
	case s.Pods != nil:
		current = s.Pods.Current
	case s.Object != nil:
		current = s.Object.Current
	case s.External != nil:
		current = s.External.Current
	}
	for _, q := range []*resource.Quantity{current.AverageValue, current.Value} {
		if q != nil {
			milli := q.MilliValue()
			out[0] = &milli
		}
	}
	if current.AverageUtilization != nil {
		percent := int64(*current.AverageUtilization)
		out[1] = &percent
	}
	return out
}

// play runs one scenario and keeps, as the API server would, only ScaledToZero of the conditions: the others are then
// exactly those that each reconciliation sets.
func (w *world) play(c *podautoscaler.HorizontalController, indexer cache.Indexer, s *scenario, hpa *autoscaling.HorizontalPodAutoscaler) []answer {
	var answers []answer
	for _, st := range s.Steps {
		time.Sleep(seconds(st.After))
		if st.Scale != nil {
			w.scale = &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: st.Scale[0]},
				Status: autoscalingv1.ScaleStatus{Replicas: st.Scale[1], Selector: "app=web"}}
		} else {
			w.scale.Status.Replicas = w.scale.Spec.Replicas
		}
		if st.Min != nil {
			hpa.Spec.MinReplicas = st.Min
		}
		for _, old := range indexer.List() {
			_ = indexer.Delete(old)
		}
		for _, p := range st.Pods {
			_ = indexer.Add(pod(p, hpa.Namespace))
		}
		w.updated, w.metrics, w.observed = false, s.Spec.Metrics, st.Observed
		_ = reconcile(c, context.Background(), hpa, hpa.Namespace+"/"+hpa.Name)
		a := answer{Desired: w.scale.Spec.Replicas, Rescaled: w.updated}
		kept := []autoscaling.HorizontalPodAutoscalerCondition{}
		for _, condition := range w.status.Status.Conditions {
			a.Conditions = append(a.Conditions, [3]string{string(condition.Type), string(condition.Status), condition.Reason})
			if condition.Type == autoscaling.ScaledToZero {
				kept = append(kept, condition)
			}
		}
		for _, m := range w.status.Status.CurrentMetrics {
			a.Current = append(a.Current, value(m))
		}
		hpa.Status = autoscaling.HorizontalPodAutoscalerStatus{Conditions: kept}
		answers = append(answers, a)
	}
	return answers
}

func TestAnswerScenarios(t *testing.T) {
	in, err := os.Open(os.Getenv("SCENARIOS"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(os.Getenv("ANSWERS"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()

	w := &world{}
	mapper := apimeta.NewDefaultRESTMapper([]schema.GroupVersion{{Group: "apps", Version: "v1"}})
	mapper.Add(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, apimeta.RESTScopeNamespace)
	factory := informers.NewSharedInformerFactory(nil, 0)
	pods := factory.Core().V1().Pods()
	// The documented defaults of kube-controller-manager's flags.
	c := podautoscaler.NewHorizontalController(context.Background(), w, w, w, mapper, w,
		factory.Autoscaling().V2().HorizontalPodAutoscalers(), pods, 15*time.Second, 5*time.Minute, 0.1, 5*time.Minute, 30*time.Second)

	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for n := 0; lines.Scan(); n++ {
		var s scenario
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatalf("scenario %d: %v", n, err)
		}
		hpa := hpaOf(&s, fmt.Sprintf("n%d", n))
		enqueue(c, hpa)
		var answers []answer
		synctest.Test(t, func(*testing.T) { answers = w.play(c, pods.Informer().GetIndexer(), &s, hpa) })
		if err := json.NewEncoder(out).Encode(answers); err != nil {
			t.Fatal(err)
		}
	}
}
