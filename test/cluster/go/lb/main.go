// Runs the upstream service load-balancer controller with a cloud that hands out addresses of one range;
// kube-proxy does the balancing. A pinned spec.loadBalancerIP is honoured.
package main

import (
	"context"
	"errors"
	"flag"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/controllers/service"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/metrics/prometheus/controllers"
)

type cloud struct {
	mu     sync.Mutex
	prefix netip.Prefix
	byUID  map[string]netip.Addr
}

func (c *cloud) Initialize(cloudprovider.ControllerClientBuilder, <-chan struct{}) {}
func (c *cloud) LoadBalancer() (cloudprovider.LoadBalancer, bool)                  { return c, true }
func (c *cloud) Instances() (cloudprovider.Instances, bool)                        { return nil, false }
func (c *cloud) InstancesV2() (cloudprovider.InstancesV2, bool)                    { return nil, false }
func (c *cloud) Zones() (cloudprovider.Zones, bool)                                { return nil, false }
func (c *cloud) Clusters() (cloudprovider.Clusters, bool)                          { return nil, false }
func (c *cloud) Routes() (cloudprovider.Routes, bool)                              { return nil, false }
func (c *cloud) ProviderName() string                                              { return "skiff-cluster" }
func (c *cloud) HasClusterID() bool                                                { return true }

func (c *cloud) GetLoadBalancerName(_ context.Context, _ string, s *v1.Service) string {
	return cloudprovider.DefaultLoadBalancerName(s)
}

func (c *cloud) GetLoadBalancer(_ context.Context, _ string, s *v1.Service) (*v1.LoadBalancerStatus, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ip, ok := c.byUID[string(s.UID)]
	if !ok {
		return nil, false, nil
	}
	return status(ip), true, nil
}

func (c *cloud) EnsureLoadBalancer(_ context.Context, _ string, s *v1.Service, _ []*v1.Node) (*v1.LoadBalancerStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ip, ok := c.byUID[string(s.UID)]; ok && (s.Spec.LoadBalancerIP == "" || s.Spec.LoadBalancerIP == ip.String()) {
		return status(ip), nil
	}
	used := map[netip.Addr]bool{}
	for uid, ip := range c.byUID {
		used[ip] = uid != string(s.UID)
	}
	if s.Spec.LoadBalancerIP != "" {
		ip, err := netip.ParseAddr(s.Spec.LoadBalancerIP)
		if err != nil || !c.prefix.Contains(ip) || used[ip] {
			return nil, errors.New("loadBalancerIP " + s.Spec.LoadBalancerIP + " is taken or outside " + c.prefix.String())
		}
		c.byUID[string(s.UID)] = ip
		return status(ip), nil
	}
	for ip := c.prefix.Addr().Next(); c.prefix.Contains(ip); ip = ip.Next() {
		if !used[ip] {
			c.byUID[string(s.UID)] = ip
			return status(ip), nil
		}
	}
	return nil, errors.New("no free load-balancer address in " + c.prefix.String())
}

func (c *cloud) UpdateLoadBalancer(context.Context, string, *v1.Service, []*v1.Node) error { return nil }

func (c *cloud) EnsureLoadBalancerDeleted(_ context.Context, _ string, s *v1.Service) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byUID, string(s.UID))
	return nil
}

func status(ip netip.Addr) *v1.LoadBalancerStatus {
	return &v1.LoadBalancerStatus{Ingress: []v1.LoadBalancerIngress{{IP: ip.String()}}}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "")
	cidr := flag.String("cidr", "", "")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	must(err)
	client := kubernetes.NewForConfigOrDie(config)
	c := &cloud{prefix: netip.MustParsePrefix(*cidr), byUID: map[string]netip.Addr{}}
	// Addresses given before a restart stay with their services.
	list, err := client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	must(err)
	for _, s := range list.Items {
		for _, in := range s.Status.LoadBalancer.Ingress {
			if ip, err := netip.ParseAddr(in.IP); err == nil {
				c.byUID[string(s.UID)] = ip
			}
		}
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	ctrl, err := service.New(c, client, factory.Core().V1().Services(), factory.Core().V1().Nodes(), "skiff-cluster", featuregate.NewFeatureGate())
	must(err)
	factory.Start(ctx.Done())
	ctrl.Run(ctx, 2, controllers.NewControllerManagerMetrics("skiff-cluster-lb"))
}
