(** Finite sums and vectors.

    A vector of [R^d] is a function [nat -> R] of which the first [d] values count; a finite law is given by [n], weights [p i] and
    points [y i] for [i < n]. Theorems with "[forall d n p y]" are therefore about all finite laws in all dimensions. *)

From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
Local Open Scope R_scope.

(** ** Sums *)

Fixpoint sumn (n : nat) (f : nat -> R) : R :=
  match n with O => 0 | S k => sumn k f + f k end.

Lemma sumn_ext n f g : (forall i, (i < n)%nat -> f i = g i) -> sumn n f = sumn n g.
Proof. induction n; simpl; intros H; auto. rewrite IHn; [rewrite H; auto|]; intros; apply H; lia. Qed.

Lemma sumn_plus n f g : sumn n (fun i => f i + g i) = sumn n f + sumn n g.
Proof. induction n; simpl; [lra|rewrite IHn; lra]. Qed.

Lemma sumn_minus n f g : sumn n (fun i => f i - g i) = sumn n f - sumn n g.
Proof. induction n; simpl; [lra|rewrite IHn; lra]. Qed.

Lemma sumn_scal n c f : sumn n (fun i => c * f i) = c * sumn n f.
Proof. induction n; simpl; [lra|rewrite IHn; lra]. Qed.

Lemma sumn_scal_r n c f : sumn n (fun i => f i * c) = sumn n f * c.
Proof. induction n; simpl; [lra|rewrite IHn; lra]. Qed.

Lemma sumn_opp n f : sumn n (fun i => - f i) = - sumn n f.
Proof. induction n; simpl; [lra|rewrite IHn; lra]. Qed.

Lemma sumn_const n c : sumn n (fun _ => c) = INR n * c.
Proof. induction n; [simpl; lra|]. rewrite S_INR; simpl. rewrite IHn. lra. Qed.

Lemma sumn_0 n : sumn n (fun _ => 0) = 0.
Proof. rewrite sumn_const; lra. Qed.

Lemma sumn_zero n f : (forall i, (i < n)%nat -> f i = 0) -> sumn n f = 0.
Proof. intros H. rewrite (sumn_ext n f (fun _ => 0)); [apply sumn_0|auto]. Qed.

Lemma sumn_le n f g : (forall i, (i < n)%nat -> f i <= g i) -> sumn n f <= sumn n g.
Proof.
  induction n; simpl; intros H; [lra|].
  assert (sumn n f <= sumn n g) by (apply IHn; intros; apply H; lia).
  assert (f n <= g n) by (apply H; lia). lra.
Qed.

Lemma sumn_nonneg n f : (forall i, (i < n)%nat -> 0 <= f i) -> 0 <= sumn n f.
Proof. intros H. rewrite <- (sumn_0 n). apply sumn_le; auto. Qed.

Lemma sumn_term n f k : (forall i, (i < n)%nat -> 0 <= f i) -> (k < n)%nat -> f k <= sumn n f.
Proof.
  induction n; simpl; intros H Hk; [lia|].
  assert (0 <= sumn n f) by (apply sumn_nonneg; intros; apply H; lia).
  assert (0 <= f n) by (apply H; lia).
  destruct (PeanoNat.Nat.eq_dec k n) as [->|Hne]; [lra|].
  assert (f k <= sumn n f) by (apply IHn; [intros; apply H; lia|lia]). lra.
Qed.

Lemma sumn_pos n f : (forall i, (i < n)%nat -> 0 <= f i) -> (exists k, (k < n)%nat /\ 0 < f k) -> 0 < sumn n f.
Proof. intros H [k [Hk Hp]]. apply Rlt_le_trans with (f k); auto. apply sumn_term; auto. Qed.

Lemma sumn_abs n f : Rabs (sumn n f) <= sumn n (fun i => Rabs (f i)).
Proof. induction n; simpl; [rewrite Rabs_R0; lra|]. eapply Rle_trans; [apply Rabs_triang|lra]. Qed.

Lemma sumn_swap n m (f : nat -> nat -> R) :
  sumn n (fun i => sumn m (fun j => f i j)) = sumn m (fun j => sumn n (fun i => f i j)).
Proof.
  induction n; simpl; [symmetry; apply sumn_0|]. rewrite IHn. rewrite <- sumn_plus. apply sumn_ext; auto.
Qed.

Lemma sumn_single n k f : (k < n)%nat -> sumn n (fun i => if Nat.eqb i k then f i else 0) = f k.
Proof.
  induction n; intros Hk; [lia|]. simpl.
  destruct (PeanoNat.Nat.eq_dec k n) as [->|Hne].
  - rewrite PeanoNat.Nat.eqb_refl. rewrite sumn_zero; [lra|]. intros i Hi.
    destruct (PeanoNat.Nat.eqb_spec i n); [lia|auto].
  - rewrite IHn by lia. destruct (PeanoNat.Nat.eqb_spec n k); [lia|lra].
Qed.

(** A sum of weights that is one has a positive weight. *)
Lemma sumn_some_pos n p : (forall i, (i < n)%nat -> 0 <= p i) -> 0 < sumn n p -> exists k, (k < n)%nat /\ 0 < p k.
Proof.
  induction n; simpl; intros H Hs; [lra|].
  destruct (Rlt_dec 0 (p n)) as [Hp|Hp]; [exists n; split; auto; lia|].
  destruct IHn as [k [Hk Hpk]]; [intros; apply H; lia| |exists k; split; auto; lia].
  assert (0 <= p n) by (apply H; lia). lra.
Qed.

(** ** Products *)

Fixpoint prodn (n : nat) (f : nat -> R) : R := match n with O => 1 | S k => prodn k f * f k end.

Lemma prodn_exp d f : prodn d (fun k => exp (f k)) = exp (sumn d f).
Proof. induction d; simpl; [rewrite exp_0; auto|]. rewrite IHd, <- exp_plus. auto. Qed.

Lemma prodn_ext n f g : (forall i, (i < n)%nat -> f i = g i) -> prodn n f = prodn n g.
Proof. induction n; simpl; intros H; auto. rewrite IHn, H; auto. Qed.

Lemma prodn_mult n f g : prodn n (fun i => f i * g i) = prodn n f * prodn n g.
Proof. induction n; simpl; [ring|rewrite IHn; ring]. Qed.

Lemma prodn_pos n f : (forall i, (i < n)%nat -> 0 < f i) -> 0 < prodn n f.
Proof. induction n; simpl; intros H; [lra|]. apply Rmult_lt_0_compat; [apply IHn; intros; apply H; lia|apply H; lia]. Qed.

Lemma prodn_shift n f : prodn (S n) f = f 0%nat * prodn n (fun k => f (S k)).
Proof. induction n; [simpl; ring|]. change (prodn (S (S n)) f) with (prodn (S n) f * f (S n)). rewrite IHn. simpl. ring. Qed.

Lemma prodn_rev n f : prodn n f = prodn n (fun k => f (n - 1 - k)%nat).
Proof.
  induction n; [reflexivity|]. rewrite (prodn_shift n (fun k => f (S n - 1 - k)%nat)).
  simpl. rewrite IHn. rewrite Rmult_comm. f_equal; [f_equal; lia|].
  apply prodn_ext. intros i Hi. f_equal. lia.
Qed.

(** ** Vectors *)

Definition vec := nat -> R.
Definition dot (d : nat) (u v : vec) : R := sumn d (fun k => u k * v k).
Definition sq (d : nat) (u : vec) : R := dot d u u.
Definition vnorm (d : nat) (u : vec) : R := sqrt (sq d u).
Definition vplus (u v : vec) : vec := fun k => u k + v k.
Definition vminus (u v : vec) : vec := fun k => u k - v k.
Definition vscal (c : R) (u : vec) : vec := fun k => c * u k.
Definition vsum (n : nat) (f : nat -> vec) : vec := fun k => sumn n (fun i => f i k).

Lemma dot_comm d u v : dot d u v = dot d v u.
Proof. unfold dot; apply sumn_ext; intros; ring. Qed.
Lemma dot_plus_r d u v w : dot d u (vplus v w) = dot d u v + dot d u w.
Proof. unfold dot, vplus. rewrite <- sumn_plus. apply sumn_ext; intros; ring. Qed.
Lemma dot_minus_r d u v w : dot d u (vminus v w) = dot d u v - dot d u w.
Proof. unfold dot, vminus. rewrite <- sumn_minus. apply sumn_ext; intros; ring. Qed.
Lemma dot_scal_r d c u v : dot d u (vscal c v) = c * dot d u v.
Proof. unfold dot, vscal. rewrite <- sumn_scal. apply sumn_ext; intros; ring. Qed.
Lemma dot_plus_l d u v w : dot d (vplus u v) w = dot d u w + dot d v w.
Proof. rewrite dot_comm, dot_plus_r, !(dot_comm d w). reflexivity. Qed.
Lemma dot_minus_l d u v w : dot d (vminus u v) w = dot d u w - dot d v w.
Proof. rewrite dot_comm, dot_minus_r, !(dot_comm d w). reflexivity. Qed.
Lemma dot_scal_l d c u v : dot d (vscal c u) v = c * dot d u v.
Proof. rewrite dot_comm, dot_scal_r, dot_comm. reflexivity. Qed.
Lemma dot_sum_r d n u (f : nat -> vec) : dot d u (vsum n f) = sumn n (fun i => dot d u (f i)).
Proof.
  unfold dot, vsum. rewrite <- sumn_swap. apply sumn_ext; intros. rewrite <- sumn_scal. reflexivity.
Qed.

Lemma sq_nonneg d u : 0 <= sq d u.
Proof. unfold sq, dot. apply sumn_nonneg; intros; nra. Qed.
Lemma sq_plus d u v : sq d (vplus u v) = sq d u + 2 * dot d u v + sq d v.
Proof. unfold sq. rewrite dot_plus_r, !dot_plus_l, (dot_comm d v u). ring. Qed.
Lemma sq_minus d u v : sq d (vminus u v) = sq d u - 2 * dot d u v + sq d v.
Proof. unfold sq. rewrite dot_minus_r, !dot_minus_l, (dot_comm d v u). ring. Qed.
Lemma sq_scal d c u : sq d (vscal c u) = c * c * sq d u.
Proof. unfold sq. rewrite dot_scal_r, dot_scal_l. ring. Qed.

Lemma norm_nonneg d u : 0 <= vnorm d u.
Proof. apply sqrt_pos. Qed.
Lemma norm_sq d u : vnorm d u * vnorm d u = sq d u.
Proof. apply sqrt_sqrt, sq_nonneg. Qed.
Lemma norm_scal d c u : vnorm d (vscal c u) = Rabs c * vnorm d u.
Proof.
  unfold vnorm. rewrite sq_scal, sqrt_mult; [|nra|apply sq_nonneg].
  replace (c * c) with (Rsqr c) by reflexivity. rewrite sqrt_Rsqr_abs. reflexivity.
Qed.

(** Cauchy and Schwarz, by the discriminant. *)
Lemma cauchy_schwarz d u v : dot d u v * dot d u v <= sq d u * sq d v.
Proof.
  destruct (Req_dec (sq d v) 0) as [Hz|Hz].
  - assert (Hd : forall k, (k < d)%nat -> v k * v k = 0).
    { intros k Hk. assert (v k * v k <= sq d v) by (apply (sumn_term d (fun k => v k * v k)); auto; intros; nra). nra. }
    assert (dot d u v = 0). { apply sumn_zero. intros k Hk. specialize (Hd k Hk). assert (v k = 0) by nra. rewrite H; ring. }
    rewrite H, Hz. lra.
  - assert (0 < sq d v) by (pose proof (sq_nonneg d v); lra).
    pose proof (sq_nonneg d (vminus u (vscal (dot d u v / sq d v) v))) as Hn.
    rewrite sq_minus, sq_scal, dot_scal_r in Hn.
    replace (sq d u - 2 * (dot d u v / sq d v * dot d u v) + dot d u v / sq d v * (dot d u v / sq d v) * sq d v)
      with ((sq d u * sq d v - dot d u v * dot d u v) / sq d v) in Hn by (field; auto).
    apply Rmult_le_compat_r with (r := sq d v) in Hn; [|lra].
    unfold Rdiv in Hn. rewrite Rmult_assoc, Rinv_l in Hn; lra.
Qed.

Lemma dot_le_norm d u v : Rabs (dot d u v) <= vnorm d u * vnorm d v.
Proof.
  apply Rsqr_incr_0_var; [|apply Rmult_le_pos; apply norm_nonneg].
  rewrite <- Rsqr_abs. unfold Rsqr.
  replace (vnorm d u * vnorm d v * (vnorm d u * vnorm d v)) with ((vnorm d u * vnorm d u) * (vnorm d v * vnorm d v)) by ring.
  rewrite !norm_sq. apply cauchy_schwarz.
Qed.

Lemma norm_triang d u v : vnorm d (vplus u v) <= vnorm d u + vnorm d v.
Proof.
  apply Rsqr_incr_0_var; [|pose proof (norm_nonneg d u); pose proof (norm_nonneg d v); lra].
  unfold Rsqr. rewrite norm_sq, sq_plus.
  replace ((vnorm d u + vnorm d v) * (vnorm d u + vnorm d v))
    with (vnorm d u * vnorm d u + 2 * (vnorm d u * vnorm d v) + vnorm d v * vnorm d v) by ring.
  rewrite !norm_sq. pose proof (dot_le_norm d u v). pose proof (Rle_abs (dot d u v)). lra.
Qed.

Lemma norm_ext d u v : (forall k, (k < d)%nat -> u k = v k) -> vnorm d u = vnorm d v.
Proof. intros H. unfold vnorm, sq, dot. f_equal. apply sumn_ext. intros; rewrite H; auto. Qed.

Lemma norm_zero d u : (forall k, (k < d)%nat -> u k = 0) -> vnorm d u = 0.
Proof. intros H. unfold vnorm, sq, dot. rewrite sumn_zero; [apply sqrt_0|]. intros; rewrite H; auto; ring. Qed.

Lemma norm_sum d n (f : nat -> vec) : vnorm d (vsum n f) <= sumn n (fun i => vnorm d (f i)).
Proof.
  induction n; simpl; [rewrite norm_zero; [lra|reflexivity]|].
  replace (vnorm d (vsum (S n) f)) with (vnorm d (vplus (vsum n f) (f n))) by reflexivity.
  eapply Rle_trans; [apply norm_triang|lra].
Qed.

(** ** Small facts on the real line *)

Lemma exp_ge x : 1 + x <= exp x.
Proof. destruct (Req_dec x 0) as [->|H]; [rewrite exp_0; lra|]. left. apply exp_ineq1; auto. Qed.

Lemma exp_zero x : x = 0 -> exp x = 1.
Proof. intros ->. apply exp_0. Qed.

Lemma ln_le_sub x : 0 < x -> ln x <= x - 1.
Proof. intros Hx. pose proof (exp_ge (ln x)). rewrite exp_ln in H by auto. lra. Qed.

Lemma ln_le_mono x y : 0 < x -> x <= y -> ln x <= ln y.
Proof. intros Hx [H| ->]; [left; apply ln_increasing; auto|lra]. Qed.

Lemma exp_le_mono x y : x <= y -> exp x <= exp y.
Proof. intros [H| ->]; [left; apply exp_increasing; auto|lra]. Qed.

Lemma exp_half_ln x : 0 < x -> exp (/ 2 * ln x) = sqrt x.
Proof.
  intros Hx. apply Rsqr_inj; [left; apply exp_pos|apply sqrt_pos|]. rewrite Rsqr_sqrt by lra. unfold Rsqr.
  rewrite <- exp_plus. replace (/ 2 * ln x + / 2 * ln x) with (ln x) by field. apply exp_ln; auto.
Qed.

(** The side conditions of [field] *)
Ltac nz := repeat split; try lra; try assumption; try (apply Rgt_not_eq; apply sqrt_lt_R0; first [assumption | lra | nra]);
  try (apply pow_nonzero; first [assumption | lra]); try nra.

(** [auto_derive] leaves derivatives of given functions; this puts in the given rates. *)
Ltac rate H := match type of H with is_derive ?f ?x ?l =>
  replace (Derive (fun u => f u) x) with l by (symmetry; apply is_derive_unique; exact H) end.

(** Jensen's inequality for the exponential and finitely many values. *)
Lemma exp_jensen n p a : (forall i, (i < n)%nat -> 0 <= p i) -> sumn n p = 1 ->
  exp (sumn n (fun i => p i * a i)) <= sumn n (fun i => p i * exp (a i)).
Proof.
  intros Hp Hs. set (A := sumn n (fun i => p i * a i)).
  assert (H : sumn n (fun i => p i * (exp A * (1 + (a i - A)))) <= sumn n (fun i => p i * exp (a i))).
  { apply sumn_le. intros i Hi. apply Rmult_le_compat_l; auto.
    replace (exp (a i)) with (exp A * exp (a i - A)) by (rewrite <- exp_plus; f_equal; ring).
    apply Rmult_le_compat_l; [left; apply exp_pos|apply exp_ge]. }
  eapply Rle_trans; [|exact H]. right.
  rewrite (sumn_ext n _ (fun i => exp A * ((1 - A) * p i + p i * a i))) by (intros; ring).
  rewrite sumn_scal, sumn_plus, sumn_scal, Hs. fold A. ring.
Qed.
