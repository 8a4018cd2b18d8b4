// Writes, as a FileDescriptorSet, the Envoy API that this project speaks.
//
// go-control-plane embeds the descriptor of every package that is linked in, so the blank imports below are the list of
// what we use; what they import comes along by itself. Annotations (validation rules, versioning marks) are dropped: they
// are half of the size, nothing here reads them, and Envoy checks what it is given anyway.
package main

import (
	"log"
	"os"
	"sort"
	"strings"

	_ "github.com/cncf/xds/go/xds/type/matcher/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stats/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/direct_response/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/metadata/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/round_robin/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Go packages bring their reflection helpers along; only these trees are the API itself.
var wanted = []string{"envoy/", "xds/"}

// Files that declare nothing but annotations.
var annotations = []string{"validate/", "udpa/annotations/", "envoy/annotations/", "xds/annotations/"}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: descriptors FILE")
	}
	var files []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if hasPrefix(file.Path(), wanted) {
			files = append(files, file)
		}
		return true
	})
	sort.Slice(files, func(i, j int) bool { return files[i].Path() < files[j].Path() })

	set := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	for _, file := range files {
		add(set, seen, file)
	}
	bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[1], bytes, 0o644); err != nil {
		log.Fatal(err)
	}
	log.Printf("%d files, %d bytes", len(set.File), len(bytes))
}

// add appends file after everything that it imports, which is the order that a FileDescriptorSet must have.
func add(set *descriptorpb.FileDescriptorSet, seen map[string]bool, file protoreflect.FileDescriptor) {
	if seen[file.Path()] || hasPrefix(file.Path(), annotations) {
		return
	}
	seen[file.Path()] = true
	for i := 0; i < file.Imports().Len(); i++ {
		add(set, seen, file.Imports().Get(i).FileDescriptor)
	}
	set.File = append(set.File, bare(protodesc.ToFileDescriptorProto(file)))
}

// bare is the file without annotations and without the imports that only they needed.
func bare(file *descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
	var imports []string
	for _, path := range file.Dependency {
		if !hasPrefix(path, annotations) {
			imports = append(imports, path)
		}
	}
	file.Dependency, file.PublicDependency, file.WeakDependency = imports, nil, nil
	file.Options = nil
	for _, message := range file.MessageType {
		bareMessage(message)
	}
	for _, enum := range file.EnumType {
		bareEnum(enum)
	}
	for _, service := range file.Service {
		service.Options = nil
		for _, method := range service.Method {
			method.Options = nil
		}
	}
	return file
}

func bareMessage(message *descriptorpb.DescriptorProto) {
	if message.Options.GetMapEntry() {
		message.Options = &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)}
	} else {
		message.Options = nil
	}
	for _, field := range message.Field {
		// `packed` decides the wire format; every other option is an annotation.
		if field.Options != nil && field.Options.Packed != nil {
			field.Options = &descriptorpb.FieldOptions{Packed: field.Options.Packed}
		} else {
			field.Options = nil
		}
	}
	for _, oneof := range message.OneofDecl {
		oneof.Options = nil
	}
	for _, nested := range message.NestedType {
		bareMessage(nested)
	}
	for _, enum := range message.EnumType {
		bareEnum(enum)
	}
}

func bareEnum(enum *descriptorpb.EnumDescriptorProto) {
	enum.Options = nil
	for _, value := range enum.Value {
		value.Options = nil
	}
}

func hasPrefix(path string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}
