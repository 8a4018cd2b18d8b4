module openservicemesh.io/test-cluster/pause

go 1.24.0
